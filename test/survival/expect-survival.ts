/** The tests that a survey makes: one for each event. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { FileSystemKind } from '../harness/file-systems.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { eventsOn } from './events.ts';
import { WHOLE } from './setting.ts';
import { type Outcome, type Survey, type SurveyOptions, survey } from './survey.ts';

/**
 * Expects all that is possible, and no wrong piece, of every event on this file system: with these settings in `npm test`,
 * and with all in `npm run test:survival`.
 */
export function expectSurvivalOn(kind: FileSystemKind, short: readonly Setting[]): void {
  const settings: readonly Setting[] = WHOLE
    ? (['root', 'user'] as const).flatMap((person) => [
        { person, server: 'running' },
        { person, server: 'away' },
      ])
    : short;
  for (const setting of settings) expectSurvival({ kind, ...setting });
}

type Setting = Pick<SurveyOptions, 'person' | 'server'>;

function expectSurvival(options: SurveyOptions): void {
  const { kind, person, server } = options;
  const when = server === 'running' ? '' : ', while no server runs';
  describe(`sources on ${kind}, as ${person}${when}`, { skip: NEEDS_ROOT }, () => {
    let surveyed: Survey;
    before(async () => {
      surveyed = await survey(options);
    });
    it('every stage is reached', () => {
      assert.ifError(surveyed.failure);
    });
    for (const { name } of eventsOn(kind)) {
      it(name, (test) => {
        const outcomes = [...(surveyed.outcomes.get(name) ?? [])];
        const told = outcomes.map(([stage, outcome]) => `${stage} ${tell(outcome)}`).join('; ');
        test.diagnostic(told);
        assert.ok(outcomes.length > 0, 'it was not surveyed');
        for (const [, { good, wrong, possible }] of outcomes) assert.ok(wrong.length === 0 && good >= possible, told);
      });
    }
  });
}

function tell({ good, wrong, possible, seconds, failed }: Outcome): string {
  const right = possible === 0 ? `${good}` : `${good}/${possible} in ${seconds.toFixed(1)} s`;
  return `${right}${wrong.length === 0 ? '' : `, WRONG: ${wrong.join(', ')}`}${failed === '' ? '' : ` (${failed})`}`;
}
