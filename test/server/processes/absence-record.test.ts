import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { AbsenceRecord } from '../../../src/server/processes/absence-record.ts';
import { temporaryFolder } from '../../harness/folder.ts';

describe('AbsenceRecord', () => {
  let folder: string;
  let path: string;
  const told: string[] = [];
  const read = (): Promise<AbsenceRecord> => AbsenceRecord.read(path, (message) => told.push(message));

  beforeEach(async () => {
    folder = temporaryFolder('record');
    path = join(folder, 'absence.json');
    told.length = 0;
  });

  it('has nothing to do in a fresh store, nor in a client that is new', async () => {
    assert.deepEqual((await read()).of(''), { needs: 'nothing', stopped: [] });
    await (await read()).set('', { needs: 'recover', stopped: ['a'] });
    assert.deepEqual((await read()).of('laptop'), { needs: 'nothing', stopped: [] });
    assert.deepEqual(told, []);
  });

  it('keeps what several clients need, written at once', async () => {
    const record = await read();
    const sections = ['', 'a', 'b', '__proto__'];
    await Promise.all(sections.map((section) => record.set(section, { needs: 'resume', stopped: [`of ${section}`] })));
    const again = await read();
    for (const section of sections)
      assert.deepEqual(again.of(section), { needs: 'resume', stopped: [`of ${section}`] });
    assert.deepEqual(await readdir(folder), ['absence.json']);
  });

  for (const text of [
    '',
    '{"version":1,"clients":{"":{"needs":"recover","sto',
    'null',
    '{"version":2,"clients":{}}',
    '{"version":1,"clients":{"":{"needs":"rest","stopped":[]}}}',
    '{"version":1,"clients":{"":{"needs":"resume","stopped":[1]}}}',
    '{"version":1,"clients":{"":{"needs":"resume","stopped":[],"unchecked":"a"}}}',
  ]) {
    it(`takes ${JSON.stringify(text)} as what a crash left, and says so`, async () => {
      await writeFile(path, text);
      assert.deepEqual((await read()).of(''), { needs: 'recover', stopped: [] });
      assert.equal(told.length, 1);
      assert.match(told[0] ?? '', /is damaged/);
    });
  }
});
