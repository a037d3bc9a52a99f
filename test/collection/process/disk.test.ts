/** An index on a disk that cannot be written to, and one that belongs to another user. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { errnoOf } from '../../../src/errors.ts';
import { namesOf, ProcessVolume } from './process-volume.ts';

const isRoot = process.getuid?.() === 0;
/** Has no rights of its own on most systems. */
const NOBODY = 65_534;

describe('an index on a small disk', { skip: !isRoot && 'only root can mount a small disk' }, () => {
  let volume: ProcessVolume;
  let disk: string;
  let temporary: string | undefined;
  beforeEach(async () => {
    process.env['AUTOTORRENT_INDEX_IDLE_MS'] = '20000';
    volume = new ProcessVolume('small/db');
    disk = dirname(volume.db);
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]);
    temporary = process.env['TMPDIR'];
    process.env['TMPDIR'] = volume.top;
    volume.put({ 'a/one': 1 });
    await volume.rebuild();
    await end();
  });
  afterEach(async () => {
    if (temporary === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = temporary;
    await end();
    execFileSync('umount', ['-l', disk]);
    await volume.remove();
  });

  async function end(): Promise<void> {
    for (const pid of volume.pids()) process.kill(pid, 'SIGTERM');
    await volume.ended();
  }

  it('says so where the file system is read-only', async () => {
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    const readOnly = { code: 'INDEX', message: /lies on a read-only file system/, hint: /move it to a file system/ };
    await assert.rejects(volume.open().openIndex(), readOnly);
    await assert.rejects(volume.rebuild(), readOnly);
  });

  it('says so where the disk is full, and goes on where there is room again', async () => {
    fill(join(disk, 'hog'));
    const full = { code: 'INDEX', message: /lies on a full disk/, hint: 'make room there, and run this again' };
    await assert.rejects(volume.open().openIndex(), full);
    await assert.rejects(volume.rebuild(), full);
    rmSync(join(disk, 'hog'));
    const index = await volume.open().openIndex();
    assert.deepEqual(await namesOf(index), ['one']);
    await index.close();
  });
});

describe('an index that belongs to root', { skip: !isRoot && 'only root can run as another user' }, () => {
  it('is refused to another user, with what to do', async () => {
    const volume = new ProcessVolume();
    volume.put({ 'a/one': 1 });
    await volume.rebuild();
    chmodSync(volume.top, 0o755);
    const own = join(volume.top, 'own');
    mkdirSync(own, { mode: 0o700 });
    chownSync(own, NOBODY, NOBODY);
    const open = fileURLToPath(new URL('../../../src/collection/open.js', import.meta.url));
    const program = `
import { openCollection } from ${JSON.stringify(open)};
process.setgid(${NOBODY});
process.setuid(${NOBODY});
const logger = { debug() {}, info() {}, warn() {}, error() {} };
const signal = new AbortController().signal;
try {
  await openCollection({ db: ${JSON.stringify(volume.db)} }, { logger, signal }).openIndex();
} catch ({ code, message, hint }) {
  console.log(JSON.stringify({ code, message, hint }));
}`;
    const env = { PATH: process.env['PATH'], XDG_RUNTIME_DIR: own };
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { env });
    const { code, message, hint } = JSON.parse(stdout.toString() || '{}') as Record<string, string>;
    assert.equal(code, 'INDEX', stderr.toString());
    assert.match(message ?? '', /^the collection index \(.*\) may not be used by this user/);
    assert.equal(hint, 'run this as the user it belongs to');
    await volume.remove();
  });
});

/** Writes a file until its disk has no room left. */
function fill(path: string): void {
  const file = openSync(path, 'w');
  try {
    for (;;) writeSync(file, Buffer.alloc(4096));
  } catch (error) {
    assert.equal(errnoOf(error), 'ENOSPC');
  } finally {
    closeSync(file);
  }
}
