/** `overlay` on command lines that need no mount. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';

describe('the command line of overlay', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  before(async () => {
    folder = temporaryFolder('cli-overlay');
    autotorrent = await autotorrentIn({ folder, disks: [folder] });
  });

  const wrong: readonly [string[], RegExp][] = [
    [['overlay', 'bogus'], /unknown command 'bogus'/],
    [['overlay', 'diff'], /missing required argument 'entry'/],
    [['overlay', 'diff', 'x', '--yes'], /unknown option '--yes'/],
    [['overlay', 'export', 'x'], /missing required argument 'dest'/],
  ];
  for (const [words, message] of wrong) {
    it(`refuses ${words.join(' ')} with exit code 2, in words and as JSON`, async () => {
      const said = await autotorrent.run(...words);
      assert.equal(said.code, 2);
      assert.match(said.stderr, message);
      const json = await autotorrent.run('--json', ...words);
      assert.equal(json.code, 2);
      const { error } = JSON.parse(json.stdout) as { error: { code: string; message: string } };
      assert.equal(error.code, 'USAGE');
      assert.match(error.message, message);
    });
  }

  it('shows its commands where none is given', async () => {
    const { code, stderr } = await autotorrent.run('overlay');
    assert.equal(code, 2);
    for (const name of ['diff', 'discard', 'export']) assert.match(stderr, new RegExp(`^ {2}${name} `, 'm'));
  });

  for (const name of ['diff', 'discard', 'export']) {
    it(`has help for ${name} that ends with examples and exit codes`, async () => {
      const { code, stdout } = await autotorrent.run('overlay', name, '--help');
      assert.equal(code, 0);
      assert.match(
        stdout,
        new RegExp(`Examples:\n.*autotorrent .*overlay ${name} [\\s\\S]*Exit codes:\n {2}0 {2}done`),
      );
    });

    it(`${name} says what to run where no server runs`, async () => {
      const { code, stderr } = await autotorrent.run('overlay', name, 'x', ...(name === 'export' ? ['y'] : []));
      assert.equal(code, 1);
      assert.match(stderr, /no server runs for .*store\n.*autotorrent mount/);
    });
  }
});
