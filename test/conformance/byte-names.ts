/**
 * Names and symlink targets are bytes: those that are not UTF-8 work like others. A subject whose driver passes names as text
 * alone cannot run this (fuse-native: EILSEQ).
 */
import assert from 'node:assert/strict';
import nodeFs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { bytesOfName, nameOf, pathOfName } from '../../src/bytes/name-text.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import type { Calls } from './calls.ts';
import type { OpenSubject, Subject } from './subject.ts';

/** As text: Latin-1, a cut character, a byte that UTF-8 never has, and a surrogate in the form of UTF-8. */
const NAMES = ['caf\udce9', 'cut \udce2\udc82', '\udcff', 'x\udced\udcb2\udc80y'];

/** The calls on a mount, with names as text by `bytes/name-text.ts`. */
function callsByName(calls: typeof nodeFs): Calls {
  const by = pathOfName;
  return {
    stat: async (path) => await calls.stat(by(path)),
    lstat: async (path) => await calls.lstat(by(path)),
    open: async (path, flags, mode) => await calls.open(by(path), flags, mode),
    readFile: async (path) => await calls.readFile(by(path)),
    writeFile: async (path, data) => await calls.writeFile(by(path), data),
    readdir: async (path) => (await calls.readdir(by(path), { encoding: 'buffer' })).map(nameOf),
    mkdir: async (path, mode) => await calls.mkdir(by(path), mode),
    rmdir: async (path) => await calls.rmdir(by(path)),
    unlink: async (path) => await calls.unlink(by(path)),
    rename: async (from, to) => await calls.rename(by(from), by(to)),
    link: async (existing, path) => await calls.link(by(existing), by(path)),
    symlink: async (target, path) => await calls.symlink(by(target), by(path)),
    readlink: async (path) => nameOf(await calls.readlink(by(path), { encoding: 'buffer' })),
    truncate: async (path, size) => await calls.truncate(by(path), size),
    chmod: async (path, mode) => await calls.chmod(by(path), mode),
    chown: async (path, uid, gid) => await calls.chown(by(path), uid, gid),
    utimes: async (path, atime, mtime) => await calls.utimes(by(path), atime, mtime),
  };
}

/** `name` names the subject. */
export function runByteNames(name: string, open: OpenSubject): void {
  describe(`names that are not UTF-8 in ${name}`, () => {
    let subject: Subject;
    let calls: Calls;
    const at = (...path: readonly string[]) => join(subject.root, 'Entry', ...path);

    before(async () => {
      const folder = temporaryFolder('byte-names');
      await nodeFs.writeFile(join(folder, 'source'), 'bytes of the source');
      subject = await open(folder);
      calls = subject.calls === nodeFs ? callsByName(nodeFs) : subject.calls;
      const file = fileOf(['T', 'mapped'], [{ length: 5, source: 0, sourceOffset: 0 }]);
      await subject.create(planOf('Entry', [sourceOf(join(folder, 'source'))], [file]));
    });
    after(async () => await subject?.close());

    it('makes, finds, lists and removes them, also after a restart', async () => {
      for (const each of NAMES) {
        await calls.writeFile(at(each), each);
        await calls.mkdir(at(`${each} d`));
        await calls.writeFile(at(`${each} d`, each), 'deeper');
        await assert.rejects(calls.stat(at(each.replaceAll(/[\udc80-\udcff]/gu, '\ufffd'))), { code: 'ENOENT' });
      }
      const listed = [...NAMES, ...NAMES.map((each) => `${each} d`), 'T'].toSorted((a, b) =>
        bytesOfName(a).compare(bytesOfName(b)),
      );
      const found = async () => (await calls.readdir(at())).toSorted((a, b) => bytesOfName(a).compare(bytesOfName(b)));
      assert.deepEqual(await found(), listed);
      const inodes = await Promise.all(NAMES.map(async (each) => (await calls.stat(at(each))).ino));
      assert.equal(new Set(inodes).size, NAMES.length);
      await subject.restart();
      assert.deepEqual(await found(), listed);
      for (const [i, each] of NAMES.entries()) {
        assert.equal((await calls.stat(at(each))).ino, inodes[i]);
        assert.equal((await calls.readFile(at(`${each} d`, each))).toString(), 'deeper');
        await calls.unlink(at(`${each} d`, each));
        await calls.rmdir(at(`${each} d`));
        await calls.unlink(at(each));
      }
      assert.deepEqual(await calls.readdir(at()), ['T']);
    });

    it('renames and links to them, also files of the torrent', async () => {
      const [one = '', other = ''] = NAMES;
      await calls.rename(at('T', 'mapped'), at('T', one));
      await calls.link(at('T', one), at('T', other));
      assert.equal((await calls.readFile(at('T', other))).toString(), 'bytes');
      await assert.rejects(calls.link(at('T', one), at('T', other)), { code: 'EEXIST' });
      await calls.unlink(at('T', one));
      await calls.rename(at('T', other), at('T', 'mapped'));
      assert.deepEqual(await calls.readdir(at('T')), ['mapped']);
    });

    it('has symlinks that lead to them, whose size counts bytes', async () => {
      const target = NAMES.join('/');
      await calls.symlink(target, at('link'));
      assert.equal(await calls.readlink(at('link')), target);
      assert.equal((await calls.lstat(at('link'))).size, bytesOfName(target).length);
      await calls.unlink(at('link'));
    });

    it('takes 255 bytes, and no more', async () => {
      const longest = '\udcff'.repeat(255);
      await calls.writeFile(at(longest), 'long');
      assert.equal((await calls.readFile(at(longest))).toString(), 'long');
      await assert.rejects(calls.writeFile(at(`${longest}\udcff`), ''), { code: 'ENAMETOOLONG' });
      await calls.unlink(at(longest));
    });
  });
}
