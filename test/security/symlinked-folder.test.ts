/**
 * A person who may write below a disk puts a symbolic link in the place of a folder that was indexed, or of a file: it leads
 * to a file of root's that he cannot read.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { assertNoSecret, attackedDisk, PUBLIC, SECRET } from './attacked-disk.ts';

/** What he runs in the disk; `$2` is root's folder. */
const ATTACKS: readonly (readonly [string, string])[] = [
  ['the folder of the file', 'mv a/b a/old && ln -s "$2" a/b'],
  ['a folder two levels up', 'mv a old && ln -s "$2" a'],
  ['a folder, with a link of links', 'mv a/b a/old && ln -s b2 a/b && ln -s "$2/b" a/b2'],
  ['the file', 'mv a/b/known old && ln -s "$2/known" a/b/known'],
];

describe('a symbolic link on the way to a source', { skip: NEEDS_ROOT }, () => {
  for (const [place, script] of ATTACKS) {
    it(`is not followed in the place of ${place}, however much is verified`, async (t) => {
      const attacked = await attackedDisk(t, PUBLIC);
      const { autotorrent, torrent, attack, mount } = attacked;
      assert.equal((await autotorrent.run('rebuild')).code, 0);
      await attack(script);
      await mount();
      // The torrent has the very bytes of the secret, so that no hash gives it away.
      const guessed = torrent('guessed', SECRET);
      for (const verify of ['none', 'probe', 'full']) {
        assert.equal((await autotorrent.run('add', '--verify', verify, guessed)).code, 3, verify);
        assertNoSecret(attacked);
      }
    });

    it(`is not followed in the place of ${place} once the source is served`, async (t) => {
      const attacked = await attackedDisk(t, SECRET);
      const { autotorrent, torrent, attack, mount, stop, shown } = attacked;
      assert.equal((await autotorrent.run('rebuild')).code, 0);
      await mount();
      assert.equal((await autotorrent.run('add', '--verify', 'full', torrent('served', SECRET))).code, 0);
      assert.deepEqual([...shown().values()], [SECRET]);
      await stop();
      // He deletes the file that was indexed: it would be found where he moved it, and be served from there.
      await attack(`${script} && { test -L a || rm -rf a/old; } && rm -rf old`);
      await mount();
      assert.deepEqual([...shown().values()], ['EIO']);
      assert.match((await autotorrent.run('status')).stdout, /known: it (lies below|is a) .*symbolic link/);
    });
  }

  it('shows no file of root to `rebuild`, whose index would know its name', async (t) => {
    const { autotorrent, attack, torrent, mount } = await attackedDisk(t, PUBLIC);
    await attack('mv a old && ln -s "$2" a');
    const { files } = (await autotorrent.json('rebuild')) as { readonly files: number };
    assert.equal(files, 1);
    await mount();
    assert.equal((await autotorrent.run('add', '--verify', 'full', torrent('guessed', SECRET))).code, 3);
  });
});
