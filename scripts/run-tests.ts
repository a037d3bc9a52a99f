/**
 * Runs the built tests: `run-tests.js [NAME…]` runs the files whose path contains one of the names.
 *
 * Each file has a process of its own, as with `node --test`. Most wait for daemons more than they compute, so two files for
 * each core run at once, the longest first; those that need the machine alone run at the end (test-order.ts).
 * AUTOTORRENT_TEST_JOBS sets the number of files at once.
 * The last lines are the counts that node's own runner prints, after a list of the slowest files.
 */
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { run } from 'node:test';
import { spec as Spec } from 'node:test/reporters';
import { ALONE, LONGEST } from './test-order.ts';

/** The used part of an event of node's runner. 'file' is our own: a file has ended, after this many `seconds`. */
interface TestEvent {
  readonly type: string;
  readonly data: {
    readonly nesting?: number;
    readonly message?: string;
    readonly file?: string;
    readonly seconds?: number;
  };
}

const ROOT = join('dist', 'test');
const SLOWEST = 10;
/** The counts of node's runner, in the order in which it prints them. */
const COUNTS = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo'] as const;
type Count = (typeof COUNTS)[number];

// Tests make many collections: the process of each index ends soon after its last client (docs/index-process.md).
process.env['AUTOTORRENT_INDEX_IDLE_MS'] ??= '2000';

const begun = performance.now();
const names = process.argv.slice(2);
const jobs = Number(process.env['AUTOTORRENT_TEST_JOBS'] ?? 2 * availableParallelism());
if (!(Number.isInteger(jobs) && jobs > 0)) throw new Error('AUTOTORRENT_TEST_JOBS is no number of files at once');
const files = readdirSync(ROOT, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => names.length === 0 || names.some((name) => file.includes(name)))
  .toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
if (files.length === 0) throw new Error(`no test file under ${ROOT} matches: ${names.join(' ')}`);

const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => abort.abort());

try {
  await pipeline(Readable.from(allEvents()), new Spec(), process.stdout, { end: false });
} catch (error) {
  // Not thrown: node's runner takes an uncaught error for a test's, and prints nothing.
  console.error(error);
  process.exitCode = 1;
}

function rank(file: string): number {
  const place = LONGEST.findIndex((name) => file.startsWith(name));
  return place === -1 ? LONGEST.length : place;
}

/** Gives the events of all files, each file's together and without its counts; then the slowest files, and all counts. */
async function* allEvents(): AsyncGenerator<TestEvent> {
  const counts = new Map<Count, number>(COUNTS.map((name) => [name, 0]));
  const times: { readonly file: string; readonly seconds: number }[] = [];
  const alone = (file: string): boolean => ALONE.some((name) => file.startsWith(name));
  for (const [group, atOnce] of [
    [files.filter((file) => !alone(file)), jobs],
    [files.filter(alone), 1],
  ] as const) {
    for await (const event of sideBySide(group, Math.min(atOnce, group.length))) {
      const counted = countOf(event);
      if (event.type === 'file') {
        const { file = '', seconds = 0 } = event.data;
        times.push({ file, seconds });
        yield diagnostic(told(file, seconds));
      } else if (counted !== undefined) {
        counts.set(counted.name, (counts.get(counted.name) ?? 0) + counted.value);
      } else if (!tellsTheEnd(event)) {
        yield event;
      }
    }
  }
  if (times.length > SLOWEST) {
    yield diagnostic('the slowest files:');
    const slowest = times.toSorted((a, b) => b.seconds - a.seconds).slice(0, SLOWEST);
    for (const { file, seconds } of slowest) yield diagnostic(`  ${told(file, seconds)}`);
  }
  const success = counts.get('fail') === 0 && counts.get('cancelled') === 0 && times.length === files.length;
  if (!success) process.exitCode = 1;
  for (const [name, value] of counts) yield diagnostic(`${name} ${value}`);
  const durationMs = performance.now() - begun;
  yield diagnostic(`duration_ms ${durationMs}`);
  // From Node 22 on the reporter lists the failures when it hears of the end.
  yield { type: 'test:summary', data: { success, counts: {}, duration_ms: durationMs } as object };
}

/** Runs files, `atOnce` at a time. A single file reports as it goes on, several each in one piece at their end. */
async function* sideBySide(group: readonly string[], atOnce: number): AsyncGenerator<TestEvent> {
  const waiting = [...group];
  const running = new Map<string, Promise<{ readonly file: string; readonly events: readonly TestEvent[] }>>();
  for (;;) {
    while (running.size < atOnce && !abort.signal.aborted) {
      const file = waiting.shift();
      if (file === undefined) break;
      if (atOnce === 1) yield* eventsOf(file);
      else running.set(file, collect(file));
    }
    if (running.size === 0) return;
    const { file, events } = await Promise.race(running.values());
    running.delete(file);
    yield* events;
  }
}

async function collect(file: string): Promise<{ readonly file: string; readonly events: readonly TestEvent[] }> {
  const events: TestEvent[] = [];
  for await (const event of eventsOf(file)) events.push(event);
  return { file, events };
}

async function* eventsOf(file: string): AsyncGenerator<TestEvent> {
  const start = performance.now();
  const stream = run({ files: [join(process.cwd(), ROOT, file)], concurrency: 1, signal: abort.signal });
  for await (const event of stream) yield event as TestEvent;
  yield { type: 'file', data: { file, seconds: (performance.now() - start) / 1000 } };
}

function diagnostic(message: string): TestEvent {
  return { type: 'test:diagnostic', data: { nesting: 0, message } };
}

function told(file: string, seconds: number): string {
  return `${seconds.toFixed(1).padStart(6)} s  ${file}`;
}

/** Gives one of the counts that node's runner ends with. */
function countOf({ type, data }: TestEvent): { readonly name: Count; readonly value: number } | undefined {
  if (type !== 'test:diagnostic' || data.nesting !== 0) return undefined;
  const [, word, value] = /^(\w+) (\d+)$/.exec(data.message ?? '') ?? [];
  const name = COUNTS.find((each) => each === word);
  return name === undefined ? undefined : { name, value: Number(value) };
}

function tellsTheEnd({ type, data }: TestEvent): boolean {
  return type === 'test:summary' || (type === 'test:diagnostic' && data.message?.startsWith('duration_ms ') === true);
}
