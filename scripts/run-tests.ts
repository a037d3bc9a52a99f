/**
 * Runs the built tests: `run-tests.js [NAME…]` runs those whose path holds one of the names.
 *
 * A file has a process of its own, as with `node --test`. Most wait for daemons more than they compute, so two files for
 * each core run at once, the longest first; those that need the machine for themselves run at the end (test-order.ts).
 * AUTOTORRENT_TEST_JOBS is another number of files at once. What a file says comes out in one piece, when it has ended.
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

/** An event of node's runner, as far as it is read here. */
interface TestEvent {
  readonly type: string;
  readonly data: { readonly nesting?: number; readonly message?: string; readonly file?: string };
}

interface Ran {
  readonly file: string;
  readonly seconds: number;
  readonly events: readonly TestEvent[];
}

const ROOT = join('dist', 'test');
const SLOWEST = 10;
/** What node's runner counts, in the order in which it says so. */
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
  // Not thrown on: node's runner takes what nobody catches for a test's, and says nothing.
  console.error(error);
  process.exitCode = 1;
}

function rank(file: string): number {
  const place = LONGEST.findIndex((name) => file.startsWith(name));
  return place === -1 ? LONGEST.length : place;
}

/** The events of all files, each file's together, without the counts of each; then the slowest files, and all counts. */
async function* allEvents(): AsyncGenerator<TestEvent> {
  const counts = new Map<Count, number>(COUNTS.map((name) => [name, 0]));
  const times: Ran[] = [];
  const alone = (file: string): boolean => ALONE.some((name) => file.startsWith(name));
  for (const [group, atOnce] of [
    [files.filter((file) => !alone(file)), jobs],
    [files.filter(alone), 1],
  ] as const) {
    for await (const ran of sideBySide(group, atOnce)) {
      times.push(ran);
      for (const event of ran.events) {
        const counted = countOf(event);
        if (counted === undefined) yield event;
        else if (counted.name !== 'duration_ms')
          counts.set(counted.name, (counts.get(counted.name) ?? 0) + counted.value);
      }
      yield diagnostic(told(ran));
    }
  }
  if (times.length > SLOWEST) {
    yield diagnostic('the slowest files:');
    const slowest = times.toSorted((a, b) => b.seconds - a.seconds).slice(0, SLOWEST);
    for (const ran of slowest) yield diagnostic(`  ${told(ran)}`);
  }
  const success = counts.get('fail') === 0 && counts.get('cancelled') === 0 && times.length === files.length;
  if (!success) process.exitCode = 1;
  for (const [name, value] of counts) yield diagnostic(`${name} ${value}`);
  yield diagnostic(`duration_ms ${performance.now() - begun}`);
  // From Node 22 on the reporter lists the failures when it hears of the end.
  yield { type: 'test:summary', data: { success, counts: {}, duration_ms: performance.now() - begun } as object };
}

/** Runs files, `atOnce` at a time, and gives each when it has ended. */
async function* sideBySide(group: readonly string[], atOnce: number): AsyncGenerator<Ran> {
  const waiting = [...group];
  const running = new Map<string, Promise<Ran>>();
  for (;;) {
    while (running.size < atOnce && !abort.signal.aborted) {
      const file = waiting.shift();
      if (file === undefined) break;
      running.set(file, runFile(file));
    }
    if (running.size === 0) return;
    const ran = await Promise.race(running.values());
    running.delete(ran.file);
    yield ran;
  }
}

async function runFile(file: string): Promise<Ran> {
  const start = performance.now();
  const events: TestEvent[] = [];
  const stream = run({ files: [join(process.cwd(), ROOT, file)], concurrency: 1, signal: abort.signal });
  for await (const event of stream) events.push(event as TestEvent);
  return { file, seconds: (performance.now() - start) / 1000, events };
}

function diagnostic(message: string): TestEvent {
  return { type: 'test:diagnostic', data: { nesting: 0, message } };
}

function told({ file, seconds }: Ran): string {
  return `${seconds.toFixed(1).padStart(6)} s  ${file}`;
}

/** One of the lines that node's runner ends with; undefined for all other events, but for what it says of the end. */
function countOf({
  type,
  data,
}: TestEvent): { readonly name: Count | 'duration_ms'; readonly value: number } | undefined {
  if (type === 'test:summary') return { name: 'duration_ms', value: 0 };
  if (type !== 'test:diagnostic' || data.nesting !== 0) return undefined;
  const [, name, value] = /^(\w+) ([\d.]+)$/.exec(data.message ?? '') ?? [];
  const known = [...COUNTS, 'duration_ms' as const].find((each) => each === name);
  return known === undefined ? undefined : { name: known, value: Number(value) };
}
