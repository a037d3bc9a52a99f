/** Which healer is started for what, with a script instead of a healer. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { silentLogger } from '../../../src/logger.ts';
import { Healers } from '../../../src/server/processes/healers.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { temporaryFolder } from '../../harness/folder.ts';

/** Says that it has begun, and stays. */
const CHILD = `
import { appendFileSync } from 'node:fs';
const [log, ...flags] = process.argv.slice(2);
appendFileSync(log, ['healer', ...flags].join(' ') + '\\n');
setInterval(() => {}, 1000);
`;

describe('the healers', () => {
  let log: string;
  let healers: Healers;
  const queue = { hasOthers: false, hasUrgent: false, released() {} };

  beforeEach(async () => {
    const folder = temporaryFolder('healers');
    log = join(folder, 'log');
    await writeFile(log, '');
    await writeFile(join(folder, 'child.mjs'), CHILD);
    [queue.hasOthers, queue.hasUrgent] = [false, false];
    const command = [join(folder, 'child.mjs'), log];
    healers = new Healers({ command, queue, keepDescriptors() {}, logger: silentLogger });
  });
  afterEach(async () => await healers.close());

  const begun = (): string[] => readFileSync(log, 'utf8').split('\n').filter(Boolean);
  const until = async (...names: string[]): Promise<void> =>
    await waitUntil(names.join(), async () => begun().length >= names.length, { limitMs: 20_000 });

  it('are one, the usual one, while no reader waits, and the other joins it when one does', async () => {
    queue.hasOthers = true;
    healers.wake();
    healers.wake();
    await until('healer');
    queue.hasUrgent = true;
    healers.wake();
    await until('healer', 'healer --urgent');
    assert.deepEqual(begun(), ['healer', 'healer --urgent']);
  });

  it('are one, the urgent one, if a reader waits for the only case', async () => {
    queue.hasOthers = true;
    healers.wake();
    // A reader has asked for the case that was just noted.
    [queue.hasOthers, queue.hasUrgent] = [false, true];
    healers.wake();
    await until('healer --urgent');
    [queue.hasOthers, queue.hasUrgent] = [true, false];
    healers.wake();
    await until('healer --urgent', 'healer');
    assert.deepEqual(begun(), ['healer --urgent', 'healer']);
  });
});
