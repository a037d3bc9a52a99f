/**
 * Runs the inputs of one target: `worker.js TARGET SEED SECONDS FIRST PROGRESS`.
 *
 * Before each input it writes its number to the file PROGRESS: where this process crashes or hangs, its parent knows which
 * one did it. Prints a line of JSON for each finding, and one at the end.
 */
import { openSync, writeSync } from 'node:fs';
import { Inputs } from './inputs.ts';
import type { FuzzTarget } from './target.ts';
import { loadTarget } from './targets.ts';

export interface FindingLine {
  readonly number: number;
  /** What was thrown, with its frames; or what the input took. */
  readonly fault: string;
}

export interface EndLine {
  readonly inputs: number;
}

const LIMIT_MS = 1000;
/** A process that holds more than this after an input of at most 64 KiB lost count of something. */
const LIMIT_RSS = 768 * 1024 * 1024;
const MEMORY_EVERY = 256;
/** One fault, found again and again, is one finding. */
const MOST_FINDINGS = 20;

const [name = '', seed = '', seconds = '', first = '', progress = ''] = process.argv.slice(2);
const target = await loadTarget(name);
const inputs = await Inputs.of(name, target, Number(seed));
const fd = openSync(progress, 'w');
const note = Buffer.alloc(8);
const end = performance.now() + Number(seconds) * 1000;
const known = new Set<string>();

let number = Number(first);
for (; number < inputs.unchanged || performance.now() < end; number++) {
  note.writeDoubleLE(number);
  writeSync(fd, note, 0, note.length, 0);
  const fault = await faultOf(target, inputs.at(number), number);
  if (fault === undefined) continue;
  // The place where it was thrown tells two faults apart, not their messages, which quote the input.
  const place = /^ {4}at .*$/m.exec(fault)?.[0] ?? fault.replaceAll(/\d+/g, 'N');
  if (known.has(place)) continue;
  known.add(place);
  process.stdout.write(`${JSON.stringify({ number, fault } satisfies FindingLine)}\n`);
  if (known.size >= MOST_FINDINGS) break;
}
process.stdout.write(`${JSON.stringify({ inputs: number - Number(first) } satisfies EndLine)}\n`);
process.exit();

async function faultOf(tried: FuzzTarget, input: Buffer, at: number): Promise<string | undefined> {
  const limitMs = tried.limitMs ?? LIMIT_MS;
  let took = Number.POSITIVE_INFINITY;
  // Other processes may have the machine: the time of the processor counts, and only what is slow three times is slow.
  for (let left = 3; left > 0 && took > limitMs; left--) {
    const start = process.cpuUsage();
    try {
      await tried.run(input);
    } catch (error) {
      return error instanceof Error ? (error.stack ?? error.message) : `threw ${String(error)}`;
    }
    const { user, system } = process.cpuUsage(start);
    took = Math.min(took, (user + system) / 1000);
  }
  const rss = took < 30 && at % MEMORY_EVERY !== 0 ? 0 : process.memoryUsage.rss();
  if (rss > LIMIT_RSS) return `the process holds ${rss} bytes`;
  return took > limitMs ? `took ${Math.round(took)} ms for ${input.length} bytes` : undefined;
}
