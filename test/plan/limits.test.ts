import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkLimits } from '../../src/plan/limits.ts';

describe('limits', () => {
  const cases: [wanted: number, missing: number, size: number, percent: number, accepted: boolean][] = [
    [100, 0, 0, 0, true], // a perfect match passes limits of 0
    [0, 0, 0, 0, true],
    [100, 1, 1, 1, true], // only more than a limit refuses
    [100, 1, 0, 100, false],
    [100, 1, 1, 0.99, false],
    [1000, 10, 9, 100, false],
    [1000, 10, 10, 1, true],
    [1000, 11, 100, 1, false],
    [100, 100, 100, 100, true],
  ];
  for (const [wantedBytes, missingBytes, addLimitSize, addLimitPercent, accepted] of cases) {
    it(`${missingBytes} of ${wantedBytes} missing, limits ${addLimitSize} and ${addLimitPercent} %`, () => {
      const verdict = checkLimits({ wantedBytes, missingBytes }, { addLimitSize, addLimitPercent });
      assert.equal(verdict.accepted, accepted);
      assert.equal(verdict.foundBytes, wantedBytes - missingBytes);
    });
  }
});
