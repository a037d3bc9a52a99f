/** Failing starts of the children that talk to clients. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { AbsenceProcesses, type AbsenceProcessesOptions } from '../../../src/server/processes/absence.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { temporaryFolder } from '../../harness/folder.ts';

describe('AbsenceProcesses', () => {
  let folder: string;
  let warnings: string[];

  beforeEach(() => {
    folder = temporaryFolder('absence-processes');
    warnings = [];
  });

  const processes = (options: Partial<AbsenceProcessesOptions> = {}): AbsenceProcesses =>
    new AbsenceProcesses({
      command: [join(folder, 'child.mjs')],
      record: join(folder, 'absence.json'),
      keepDescriptors() {},
      logger: { debug() {}, info() {}, warn: (text) => warnings.push(text), error: (text) => warnings.push(text) },
      ...options,
    });
  const never = new AbortController().signal;

  it('goes on where a child cannot be started', async () => {
    const absence = processes({
      keepDescriptors() {
        throw new Error('no descriptors left');
      },
    });
    void absence.resume();
    await waitUntil('the warning', async () => warnings.length === 1);
    const told: string[] = [];
    await absence.stop(never, (message) => told.push(message));
    assert.deepEqual(told, ['clients could not be told that the mount goes away: no descriptors left']);
    await absence.close();
  });

  it('reports what a child says and how it fails', async () => {
    await writeFile(
      join(folder, 'child.mjs'),
      `console.log(JSON.stringify({ level: 'warn', message: 'one is away' })); console.error('it failed'); process.exitCode = 1;`,
    );
    const told: string[] = [];
    await processes().stop(never, (message) => told.push(message));
    assert.deepEqual(told, ['one is away', 'clients could not be told that the mount goes away: it failed']);
  });

  it('ends a child that hangs when it is hurried, and waits for its end', async () => {
    await writeFile(
      join(folder, 'child.mjs'),
      `console.log('{"level": "warn", "message": "begun"}'); setInterval(() => {}, 1000);`,
    );
    const hurry = new AbortController();
    await processes().stop(hurry.signal, () => hurry.abort());
    assert.deepEqual(warnings, ['begun', 'not waiting for clients']);
  });
});
