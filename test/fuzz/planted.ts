/** Parsers with a planted fault each, to show that the runner finds it. */
import type { FuzzTarget } from './target.ts';

const seeds = (): Buffer[] => [Buffer.from('a sound input'), Buffer.from('another')];
const isBad = (input: Buffer): boolean => input.includes('!');
const tokens = ['!'];
/** Takes some 30 MiB of the heap. */
const LONG_LIST = `[${'0,'.repeat(4_000_000)}0]`;
/** Keeps what it was given. */
const held: Buffer[] = [];

export const PLANTED: Readonly<Record<string, FuzzTarget>> = {
  'planted-throw': {
    seeds,
    tokens,
    run(input) {
      if (isBad(input)) throw new TypeError('planted');
    },
  },
  'planted-hang': {
    seeds,
    tokens,
    run(input) {
      while (isBad(input));
    },
  },
  'planted-slow': {
    seeds,
    tokens,
    limitMs: 20,
    run(input) {
      const end = performance.now() + (isBad(input) ? 300 : 0);
      while (performance.now() < end);
    },
  },
  'planted-memory': {
    seeds,
    tokens,
    run(input) {
      const chunks: unknown[] = [];
      while (isBad(input)) chunks.push(JSON.parse(LONG_LIST));
    },
  },
  'planted-buffers': {
    seeds,
    tokens,
    limitMs: 60_000,
    run(input) {
      if (isBad(input)) held.push(Buffer.alloc(400 * 2 ** 20, 1));
    },
  },
  'planted-exit': {
    seeds,
    tokens,
    run(input) {
      if (isBad(input)) process.exit(3);
    },
  },
};
