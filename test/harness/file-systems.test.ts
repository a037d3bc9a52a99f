/** The file systems of tests: what they must be for the tests of sources to say something. */
import assert from 'node:assert/strict';
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { waitUntil } from './daemon.ts';
import { FILE_SYSTEM_KINDS, makeFileSystem } from './file-systems.ts';
import { temporaryFolder } from './folder.ts';
import { NEEDS_ROOT } from './other-user.ts';

/** The kernel keeps names and attributes of FUSE for a second. */
const FORGOTTEN_MS = 1100;

const isMounted = (path: string): boolean => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${path} `);

describe('file systems for tests', { skip: NEEDS_ROOT }, () => {
  for (const kind of FILE_SYSTEM_KINDS) {
    it(`${kind} keeps its files over a remount`, async () => {
      const fs = await makeFileSystem(kind, temporaryFolder('fs'));
      try {
        for (const name of ['a', 'b', 'c']) writeFileSync(join(fs.path, name), name);
        mkdirSync(join(fs.path, 'folder'));
        renameSync(join(fs.path, 'a'), join(fs.path, 'folder', 'a'));
        linkSync(join(fs.path, 'b'), join(fs.path, 'b2'));
        const numbers = (): number[] => ['b', 'c', 'folder/a'].map((name) => statSync(join(fs.path, name)).ino);
        const before = numbers();
        const held = openSync(join(fs.path, 'b'), 'r');
        await assert.rejects(fs.umount(), /busy/);
        closeSync(held);
        await fs.remount();
        assert.equal(readFileSync(join(fs.path, 'folder', 'a'), 'utf8'), 'a');
        assert.equal(readFileSync(join(fs.path, 'b2'), 'utf8'), 'b');
        if (kind === 'mergerfs' || kind === 'fuse') assert.notDeepEqual(numbers(), before);
        else assert.deepEqual(numbers(), before);
      } finally {
        await fs.close();
      }
      assert.equal(isMounted(fs.path), false);
    });
  }

  it('a branch of the pool goes away and comes back', async () => {
    const fs = await makeFileSystem('mergerfs', temporaryFolder('fs'));
    try {
      const [, second = ''] = fs.branches;
      writeFileSync(join(second, 'file'), 'here');
      assert.equal(readFileSync(join(fs.path, 'file'), 'utf8'), 'here');
      await fs.detachBranch(second);
      await sleep(FORGOTTEN_MS);
      assert.equal(existsSync(join(fs.path, 'file')), false);
      await fs.attachBranch(second);
      assert.equal(readFileSync(join(fs.path, 'file'), 'utf8'), 'here');
    } finally {
      await fs.close();
    }
  });

  it('the pass-through answers as late as it is asked to', async () => {
    const fs = await makeFileSystem('fuse', temporaryFolder('fs'));
    try {
      writeFileSync(join(fs.path, 'file'), 'here');
      fs.answerAfter(300);
      const began = performance.now();
      // In another process: a call that this one waits for would hold up the sending of the delay.
      await sleep(50);
      execFileSync('cat', [join(fs.path, 'file')]);
      assert.ok(performance.now() - began > 300);
    } finally {
      await fs.close();
    }
  });

  it('are unmounted when the process is killed', async () => {
    const folder = temporaryFolder('fs');
    const script = fileURLToPath(new URL('killed-with-mounts.js', import.meta.url));
    const child = fork(script, [folder]);
    await once(child, 'message');
    const paths = FILE_SYSTEM_KINDS.map((kind) => join(folder, kind, 'mounted'));
    assert.deepEqual(
      paths.map(isMounted),
      paths.map(() => true),
    );
    child.kill('SIGKILL');
    // The kernel frees a loop device a moment after its last mount.
    await waitUntil('neither mounts nor loop devices are left', async () => {
      const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
      return !mounts.includes(folder) && !execFileSync('losetup', ['-a'], { encoding: 'utf8' }).includes(folder);
    });
  });
});
