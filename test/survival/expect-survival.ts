/** The tests that a survey makes: one for each event. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { eventsOn } from './events.ts';
import { WHOLE } from './setting.ts';
import { type Outcome, type Survey, type SurveyOptions, survey } from './survey.ts';

export interface Expected extends Pick<SurveyOptions, 'kind' | 'person'> {
  /** What `npm test` runs: all events, or a few that say the most about this file system. Absent: nothing. */
  readonly short?: readonly string[] | 'all';
}

/**
 * Expects of every event that exactly what is possible is served, and no wrong piece at any time. `npm run test:survival` has
 * all events happen while a server runs, and while none does.
 */
export function expectSurvival({ kind, person, short }: Expected): void {
  if (WHOLE) for (const server of ['running', 'away'] as const) expectAll({ kind, person, server });
  else if (short !== undefined) {
    expectAll({ kind, person, server: 'running', only: short === 'all' ? undefined : short });
  }
}

function expectAll(options: SurveyOptions): void {
  const { kind, person, server, only } = options;
  const events = only ?? eventsOn(kind).map(({ name }) => name);
  const when = server === 'running' ? '' : ', while no server runs';
  describe(`sources on ${kind}, as ${person}${when}`, { skip: NEEDS_ROOT, timeout: 600_000 }, () => {
    let surveyed: Survey;
    before(async () => {
      surveyed = await survey(options);
    });
    it('every stage is reached', () => {
      assert.ifError(surveyed.failure);
    });
    for (const name of events) {
      it(name, (test) => {
        const outcomes = [...(surveyed.outcomes.get(name) ?? [])];
        const told = outcomes.map(([stage, outcome]) => `${stage} ${tell(outcome)}`).join('; ');
        test.diagnostic(told);
        assert.ok(outcomes.length > 0, 'it was not surveyed');
        for (const [, { passed, wrong }] of outcomes) assert.ok(wrong.length === 0 && passed, told);
      });
    }
  });
}

function tell({ good, wrong, possible, seconds, failed }: Outcome): string {
  const right = `${good}/${possible} in ${seconds.toFixed(1)} s`;
  return `${right}${wrong.length === 0 ? '' : `, WRONG: ${wrong.join(', ')}`}${failed === '' ? '' : ` (${failed})`}`;
}
