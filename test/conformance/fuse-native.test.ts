import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { runMount } from './mount.ts';
import { runPosix } from './posix.ts';
import { runPrograms } from './programs.ts';
import { runReading } from './reading.ts';
import { MountSubject } from './subject.ts';

const driver = 'fuse-native';
runReading(`a mount, driver ${driver}`, (folder) => MountSubject.open(folder, driver));
runPosix(`a mount, driver ${driver}`, (folder) => MountSubject.open(folder, driver));
runPrograms(driver);
runMount(driver);

it('keeps a file from being written under the torrent’s name and a client’s at the same time', async () => {
  const folder = temporaryFolder('two-names');
  await fs.writeFile(join(folder, 'source'), 'bytes');
  const subject = await MountSubject.open(folder, driver);
  try {
    const file = fileOf(['T', 'a:b'], [{ length: 5, source: 0, sourceOffset: 0 }]);
    const plan = planOf('E', [sourceOf(join(folder, 'source'))], [file]);
    await subject.create(plan);
    await subject.addNames(plan.infoHash, [['T', 'a_b']]);
    const [own, clients] = ['a:b', 'a_b'].map((name) => join(subject.root, 'E', 'T', name));
    assert.ok(own !== undefined && clients !== undefined);
    const writer = await fs.open(clients, 'r+');
    await assert.rejects(fs.open(own, 'r'), { code: 'EBUSY' });
    await writer.write('w');
    await writer.close();
    await fs.rename(clients, `${clients}.part`);
    assert.equal(await fs.readFile(own, 'utf8'), 'wytes');
    const reader = await fs.open(own);
    await assert.rejects(fs.open(`${clients}.part`, 'r+'), { code: 'EBUSY' });
    assert.equal(await fs.readFile(`${clients}.part`, 'utf8'), 'wytes');
    await reader.close();
  } finally {
    await subject.close();
  }
});
