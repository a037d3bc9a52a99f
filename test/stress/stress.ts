/**
 * The test of one subject, as `vfs.test.ts` and `mount.test.ts` run it.
 *
 * A difference is reported with a seed and a count: `STRESS_SEED=… STRESS_OPS=… npm test -- stress/vfs` repeats it, and with
 * `STRESS_SHRINK=1` finds the operations that cause it.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { temporaryFolder } from '../harness/folder.ts';
import { Fixture } from './fixture.ts';
import { describeOperation } from './operation.ts';
import { settingOf } from './setting.ts';
import { shrink } from './shrink.ts';
import { DifferenceError, runSideBySide } from './side-by-side.ts';
import { FolderSubject, type Subject } from './subject.ts';

/** `short` is the number of operations in `npm test`. */
export function describeStress(
  title: string,
  short: number,
  start: (folder: string, fixture: Fixture) => Promise<Subject>,
): void {
  describe(title, () => {
    let folder: string;
    let fixture: Fixture;
    let hash: string;
    let reference: FolderSubject;
    let subject: Subject;

    before(async () => {
      folder = temporaryFolder('stress');
      fixture = await Fixture.make(join(folder, 'sources'));
      hash = await fixture.hash();
      reference = new FolderSubject(join(folder, 'reference'), fixture, { isReference: true });
      subject = await start(folder, fixture);
    });
    after(async () => {
      await reference?.close();
      await subject?.close();
    });

    const { seeds, count } = settingOf(short);
    for (const seed of seeds) {
      it(`does the same in ${count} operations from seed ${seed} on`, async () => {
        const sides = { reference, subject, fixture };
        try {
          await runSideBySide(sides, { seed, count });
        } catch (error) {
          if (!(error instanceof DifferenceError) || process.env['STRESS_SHRINK'] === undefined) throw error;
          const { operations, differences } = await shrink(sides, error.difference);
          const told = operations.map((operation) => `  ${describeOperation(operation)}`);
          throw new Error(['cut down to', ...told, ...differences].join('\n'), { cause: error });
        }
      });
    }

    it('has touched no source', async () => {
      assert.equal(await fixture.hash(), hash);
    });
  });
}
