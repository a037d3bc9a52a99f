import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OpenDirectory } from '../../../src/fuse/kernel/directories.ts';
import type { Dentry } from '../../../src/vfs/operations.ts';

/** A directory whose names come in pages of three, from any offset. */
class Names {
  names: string[];
  asked: number[] = [];

  constructor(count: number) {
    this.names = Array.from({ length: count }, (_, i) => `name ${i}`);
  }

  async *readdir(handle: number, offset: number): AsyncGenerator<readonly Dentry[], void, undefined> {
    assert.equal(handle, 5);
    this.asked.push(offset);
    for (let at = offset; at < this.names.length; at += 3) {
      yield this.names
        .slice(at, at + 3)
        .map((name, i) => ({ name, ino: 100 + at + i, type: 'file', offset: at + i + 1 }));
    }
  }
}

const open = (names: Names): OpenDirectory => new OpenDirectory(names, 5, { ino: 20, parent: 10 });

async function take(directory: OpenDirectory, offset: number, count: number): Promise<Dentry[]> {
  const taken: Dentry[] = [];
  await directory.list(offset, (dentry) => {
    if (taken.length === count) return false;
    taken.push(dentry);
    return true;
  });
  return taken;
}

describe('the listing of an open directory', () => {
  it('begins with the directory and the one above it', async () => {
    const dots = await take(open(new Names(1)), 0, 2);
    assert.deepEqual(
      dots.map(({ name, ino, offset }) => [name, ino, offset]),
      [
        ['.', 20, 1],
        ['..', 10, 2],
      ],
    );
  });

  for (const count of [1, 2, 3, 4, 100]) {
    it(`gives every name once, ${count} in a reply`, async () => {
      const names = new Names(11);
      const directory = open(names);
      const listed: string[] = [];
      for (let offset = 0; ; ) {
        const part = await take(directory, offset, count);
        if (part.length === 0) break;
        listed.push(...part.map(({ name }) => name));
        offset = part.at(-1)?.offset ?? 0;
      }
      assert.deepEqual(listed, ['.', '..', ...names.names]);
      // A page is asked for once, however many replies it fills.
      assert.deepEqual(
        names.asked.filter((offset) => offset < 11),
        [0, 3, 6, 9],
      );
    });
  }

  it('begins anew at offset 0, and goes on at any offset that it gave', async () => {
    const names = new Names(8);
    const directory = open(names);
    await take(directory, 0, 6);
    names.names[0] = 'made since';
    assert.deepEqual(
      (await take(directory, 0, 3)).map(({ name }) => name),
      ['.', '..', 'made since'],
    );
    for (const offset of [9, 4, 1, 6]) {
      const [next] = await take(directory, offset, 1);
      assert.equal(next?.name, offset === 1 ? '..' : `name ${offset - 2}`);
    }
  });

  it('takes replies that are asked for at the same time one after the other', async () => {
    const directory = open(new Names(7));
    const parts = await Promise.all([take(directory, 0, 4), take(directory, 4, 4), take(directory, 8, 4)]);
    assert.deepEqual(
      parts.flat().map(({ name }) => name),
      ['.', '..', ...new Names(7).names],
    );
  });

  it('goes on after a listing that failed', async () => {
    const names = new Names(2);
    const directory = open(names);
    await assert.rejects(
      directory.list(0, () => {
        throw new Error('no reply');
      }),
    );
    assert.equal((await take(directory, 0, 9)).length, 4);
  });
});
