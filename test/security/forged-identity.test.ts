/**
 * The attacker forges the numbers by which a source is known: a file of a tmpfs has the inode number, size and mtime of a file
 * on another. Only the device differs, which no record can rely on. Then he puts a link in its place.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadStrictCalls } from '../../src/native/strict-paths.ts';
import { openSource, openSourceSync, type SourceQuestion } from '../../src/source/open-source.ts';
import { SourceAccess } from '../../src/source/source-access.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { identityAt } from '../harness/plans.ts';

const TIME = 1_600_000_000;

describe('a source of which all recorded numbers are forged', { skip: NEEDS_ROOT }, () => {
  for (const [way, calls] of [
    ['with openat2', loadStrictCalls(openCLibrary(silentLogger))],
    ['without openat2', {}],
  ] as const) {
    it(`is not read through a link, ${way}`, async (t) => {
      const top = temporaryFolder('forged');
      const [disk, private_] = ['disk', 'private'].map((name) => {
        const folder = mkdtempSync(join(top, `${name}-`));
        execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder]);
        t.after(() => execFileSync('umount', [folder]));
        mkdirSync(join(folder, 'a'));
        const file = join(folder, 'a/file');
        writeFileSync(file, name.padEnd(100));
        utimesSync(file, TIME, TIME);
        return folder;
      });
      assert.ok(disk !== undefined && private_ !== undefined);
      const { ino, size, mtimeNs } = identityAt(join(disk, 'a/file'));
      const other = identityAt(join(private_, 'a/file'));
      assert.deepEqual([other.ino, other.size, other.mtimeNs], [ino, size, mtimeNs], 'the numbers are forged');
      unlinkSync(join(disk, 'a/file'));
      symlinkSync(join(private_, 'a/file'), join(disk, 'a/file'));
      symlinkSync(join(private_, 'a'), join(disk, 'b'));
      const access = new SourceAccess({ disks: [disk] }, { calls });
      for (const path of ['a/file', 'b/file']) {
        const question: SourceQuestion = { path: Buffer.from(join(disk, path)), recorded: { ino, size, mtimeNs } };
        assert.equal((await openSource(question, access)).state, 'absent');
        assert.equal(openSourceSync(question, access).state, 'absent');
      }
    });
  }
});
