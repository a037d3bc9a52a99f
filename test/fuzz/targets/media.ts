/** Audio and video containers. The seeds are the real files of `test/fixtures/media`. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { HeaderReader } from '../../../src/container/container.ts';
import { describePayload, shiftHypotheses } from '../../../src/container/payload.ts';
import { MemoryVolumes } from '../../container/memory-volumes.ts';
import type { FuzzTarget } from '../target.ts';

const MEDIA = resolve('test/fixtures/media');

export const target: FuzzTarget = {
  seeds: () =>
    readdirSync(MEDIA)
      .filter((name) => !name.endsWith('.md'))
      .toSorted()
      .map((name) => readFileSync(join(MEDIA, name))),
  tokens: [
    'RIFF',
    'LIST',
    'data',
    'movi',
    'JUNK',
    'idx1',
    'ftyp',
    'moov',
    'mdat',
    'free',
    'wide',
    'ID3',
    'TAG',
    'APETAGEX',
    'fLaC',
    ...['1a45dfa3', '18538067', '1f43b675', '114d9b74', 'ec', '01ffffffffffffff', 'ff', '00000001'].map((hex) =>
      Buffer.from(hex, 'hex'),
    ),
  ],
  run(input) {
    const volumes = new MemoryVolumes([input]);
    const payload = describePayload(new HeaderReader(volumes, 0));
    // Its window is 4 KiB for each of at most a few thousand elements.
    assert.ok(volumes.reads < 20_000, `${volumes.reads} reads`);
    if (payload === undefined) return;
    assert.ok(payload.start >= 0 && payload.start < payload.end && payload.end <= input.length);
    for (const length of [0, 1, input.length, input.length + 1000, 2 ** 40]) {
      for (const shift of shiftHypotheses(payload, length)) assert.ok(Number.isSafeInteger(shift));
    }
  },
};
