/** Random things happen to the sources of random torrents, while they are read, and while server and healer are killed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { Life } from './random/life.ts';
import { WHOLE } from './setting.ts';

/** Sets the first seed: `SURVIVAL_SEED=1 npm run test:survival`. SURVIVAL_OUTPUT=1 says what happens as it happens. */
const seed = Number(process.env['SURVIVAL_SEED'] ?? (WHOLE ? Math.floor(Math.random() * 2 ** 31) : 1));
const rounds = Number(process.env['SURVIVAL_ROUNDS'] ?? (WHOLE ? 50 : 2));
/** Rounds of one life: each has torrents of its own. */
const ROUNDS_OF_LIFE = 10;

describe('a library to which random things happen', { skip: NEEDS_ROOT, timeout: 3_600_000 }, () => {
  for (let done = 0, i = 0; done < rounds; done += ROUNDS_OF_LIFE, i++) {
    const kills = process.env['SURVIVAL_KILLS'] !== 'no';
    it(`serves what lies whole, and no wrong byte, from seed ${seed + i} on`, async (test) => {
      const counts = await Life.live({
        seed: seed + i,
        rounds: Math.min(ROUNDS_OF_LIFE, rounds - done),
        kills,
        settleEvery: 5,
      });
      test.diagnostic(JSON.stringify(counts));
      assert.ok(counts.right > 0 && counts.events > 0);
    });
  }
});
