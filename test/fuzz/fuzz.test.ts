/** A short run of every fuzz target, always with the same inputs; and that the runner finds what is planted. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { temporaryFolder } from '../harness/folder.ts';
import { type Finding, fuzz, keep } from './runner.ts';
import { TARGETS } from './targets.ts';

const SECONDS = 2;

describe('the runner of the fuzz targets', () => {
  for (const [name, fault] of [
    ['planted-throw', /TypeError: planted/],
    ['planted-hang', /took more than 2500 ms/],
    ['planted-slow', /took \d+ ms for/],
    ['planted-memory', /the process ended with SIGABRT:[\s\S]*heap/],
    ['planted-buffers', /the process holds \d{9,10} bytes/],
    ['planted-exit', /the process ended with 3/],
  ] as const) {
    it(`finds ${name}, and keeps its input`, async () => {
      let found: Finding | undefined;
      // A busy machine runs few inputs in three seconds.
      for (let seed = 1; found === undefined && seed <= 10; seed++) {
        [found] = (await fuzz(name, { seed, seconds: 3, hangsMs: name === 'planted-hang' ? 2500 : 30_000 })).findings;
      }
      assert.ok(found !== undefined, 'nothing was found');
      assert.match(found.fault, fault);
      assert.ok(found.input.includes('!'), found.input.toString());
      const kept = keep(found, temporaryFolder('findings'));
      assert.deepEqual(readFileSync(kept), found.input);
    });
  }
});

describe('hostile input', () => {
  for (const name of TARGETS) {
    it(`does no harm to ${name}`, async () => {
      const { inputs, findings } = await fuzz(name, { seed: 1, seconds: SECONDS });
      assert.deepEqual(
        findings.map(({ number, fault }) => `input ${number}: ${fault}`),
        [],
      );
      assert.ok(inputs > 20, `only ${inputs} inputs were run`);
    });
  }
});
