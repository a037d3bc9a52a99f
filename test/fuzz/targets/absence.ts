import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AbsenceRecord } from '../../../src/server/processes/absence-record.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import type { FuzzTarget } from '../target.ts';

const record = (clients: unknown): Buffer => Buffer.from(JSON.stringify({ version: 1, clients }, null, 1));
/** Writing is slow, since it is durable: one record of so many is written back. */
const WRITTEN_ONE_IN = 64;
let folder: string | undefined;
let runs = 0;

async function read(path: string): Promise<{ readonly damaged: boolean; readonly record: AbsenceRecord }> {
  let damaged = false;
  const found = await AbsenceRecord.read(path, () => {
    damaged = true;
  });
  return { damaged, record: found };
}

export const target: FuzzTarget = {
  seeds: () => [
    record({}),
    record({ '': { needs: 'resume', stopped: ['ab'.repeat(20)], unchecked: ['cd'.repeat(20)] } }),
    record({ '': { needs: 'recover', stopped: [], pending: 'all' }, x: { needs: 'look', stopped: [] } }),
    record({ a: { needs: 'serving', stopped: ['x'] } }),
  ],
  tokens: [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    'null',
    'true',
    '1',
    '-0',
    '1e999',
    '"needs"',
    '"stopped"',
    '"nothing"',
    '"serving"',
    '"pending": "errors"',
    '"unchecked"',
    '"__proto__": ',
    '"constructor": ',
    '"clients"',
    '"version": 1',
    '\\ud800',
    '\0',
    '\xff',
  ],
  async run(input) {
    folder ??= temporaryFolder('absence');
    const path = join(folder, 'absence.json');
    writeFileSync(path, input);
    const { damaged, record: found } = await read(path);
    if (damaged || runs++ % WRITTEN_ONE_IN !== 0) return;
    const before = found.sections.map((section) => [section, found.of(section)]);
    const other = found.of('no section has this name');
    await found.set('another', { needs: 'look', stopped: [] });
    const again = await read(path);
    assert.equal(again.damaged, false);
    assert.deepEqual(
      again.record.sections.map((section) => [section, again.record.of(section)]),
      before,
    );
    assert.deepEqual(again.record.of('no section has this name'), other);
  },
};
