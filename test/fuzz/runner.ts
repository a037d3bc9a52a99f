/** Runs a target in child processes, so that a crash or a hang is a finding, not an end. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../harness/folder.ts';
import { Inputs } from './inputs.ts';
import { loadTarget } from './targets.ts';
import type { EndLine, FindingLine } from './worker.ts';

const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));
/** An input that takes so long hangs, on a busy machine too. */
const HANGS_MS = 20_000;
/** A worker that has not begun its first input by then hangs. */
const BEGINS_MS = 60_000;
const HEAP_MIB = 384;

export interface Finding {
  readonly target: string;
  /** The number of the input, for its seed. */
  readonly number: number;
  readonly input: Buffer;
  readonly fault: string;
}

export interface FuzzReport {
  readonly inputs: number;
  readonly findings: readonly Finding[];
}

export interface FuzzOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly hangsMs?: number;
}

/** Runs a target for some seconds. After a crash or a hang it goes on with the next input. */
export async function fuzz(name: string, options: FuzzOptions): Promise<FuzzReport> {
  const inputs = await Inputs.of(name, await loadTarget(name), options.seed);
  const findings: Finding[] = [];
  const end = performance.now() + options.seconds * 1000;
  let first = 0;
  for (;;) {
    const secondsLeft = Math.max(0, end - performance.now()) / 1000;
    const ran = await runWorker(name, { ...options, seconds: secondsLeft }, first);
    for (const { number, fault } of ran.findings)
      findings.push({ target: name, number, input: inputs.at(number), fault });
    if (ran.broke === undefined) return { inputs: first + ran.inputs, findings };
    findings.push({ target: name, number: ran.number, input: inputs.at(ran.number), fault: ran.broke });
    first = ran.number + 1;
    if (performance.now() > end && first >= inputs.unchanged) return { inputs: first, findings };
  }
}

interface Ran {
  readonly inputs: number;
  readonly findings: readonly FindingLine[];
  /** The input that ran last. */
  readonly number: number;
  /** How the worker broke off; undefined if it ended by itself. */
  readonly broke: string | undefined;
}

async function runWorker(name: string, options: FuzzOptions, first: number): Promise<Ran> {
  const progress = join(temporaryFolder('fuzz'), 'progress');
  const args = [
    '--enable-source-maps',
    `--max-old-space-size=${HEAP_MIB}`,
    WORKER,
    ...[name, options.seed, options.seconds, first, progress].map(String),
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [printed, said] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-8192);
  });
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  let hangs = false;
  void watch();
  const [code, signal] = await closed;
  const lines = printed.split('\n').filter((line) => line.endsWith('}'));
  const all = lines.map((line) => JSON.parse(line) as FindingLine | EndLine);
  const ended = all.find((line): line is EndLine => 'inputs' in line);
  const last = readNumber(progress);
  const broke = hangs
    ? `took more than ${options.hangsMs ?? HANGS_MS} ms`
    : `the process ended with ${signal ?? code}:\n${said}`;
  if (ended === undefined && last === undefined) throw new Error(`the worker of ${name} did not begin: ${said}`);
  return {
    inputs: ended?.inputs ?? 0,
    findings: all.filter((line): line is FindingLine => 'fault' in line),
    number: last ?? first,
    broke: ended === undefined ? broke : undefined,
  };

  async function watch(): Promise<void> {
    let [seen, since] = [readNumber(progress), performance.now()];
    while (child.exitCode === null && child.signalCode === null) {
      await sleep(100, undefined, { ref: false });
      const now = readNumber(progress);
      if (now !== seen) [seen, since] = [now, performance.now()];
      const limit = now === undefined ? BEGINS_MS : (options.hangsMs ?? HANGS_MS);
      if (performance.now() - since < limit) continue;
      hangs = true;
      child.kill('SIGKILL');
      return;
    }
  }
}

function readNumber(path: string): number | undefined {
  try {
    const bytes = readFileSync(path);
    return bytes.length === 8 ? bytes.readDoubleLE() : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps the input of a finding as a file of the corpus, so that every later run begins with it. Returns its path. */
export function keep(finding: Finding, corpus: string): string {
  const folder = join(corpus, finding.target);
  const digest = createHash('sha1').update(finding.input).digest('hex').slice(0, 12);
  const path = join(folder, `found-${digest}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, finding.input);
  return path;
}
