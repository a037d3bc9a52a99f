/** Several commands of one `db` at once, as a user types them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

describe('commands that share an index', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  beforeEach(async () => {
    folder = temporaryFolder('shared-index');
    for (let i = 0; i < 300; i++) {
      mkdirSync(join(folder, `disk/d${i}`), { recursive: true });
      writeFileSync(join(folder, `disk/d${i}/file${i}.bin`), Buffer.alloc(70_000 + i, i % 251));
    }
    const content = Buffer.alloc(70_007, 7);
    writeFileSync(join(folder, 'x.torrent'), makeTorrent({ name: 'file7.bin', content }).raw);
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
    const { code, stderr } = await autotorrent.run('rebuild');
    assert.equal(code, 0, stderr);
  });

  const dryRun = async (): Promise<unknown> => {
    const { code, stdout, stderr } = await autotorrent.run('add', '--dry-run', 'json', join(folder, 'x.torrent'));
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /waiting/);
    return (JSON.parse(stdout) as { found_bytes: number }[])[0]?.found_bytes;
  };

  it('two adds and a rebuild run side by side', async () => {
    const [first, second, rebuilt] = await Promise.all([dryRun(), dryRun(), autotorrent.run('rebuild', '--full')]);
    assert.deepEqual([first, second], [70_007, 70_007]);
    assert.equal(rebuilt.code, 0, rebuilt.stderr);
    assert.match(rebuilt.stdout, /^Indexed 300 file\(s\)/);
  });

  it('a rebuild that is interrupted or killed leaves the index to the others', async () => {
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const args = [resolve('dist/src/main.js'), '-c', autotorrent.config, 'rebuild', '--full'];
      const child = spawn(process.execPath, args, { cwd: folder, stdio: 'ignore' });
      const ended = once(child, 'exit');
      // However far it has come by then, the result is the same.
      await sleep(400);
      child.kill(signal);
      await ended;
      assert.equal(await dryRun(), 70_007);
    }
    assert.match((await autotorrent.run('rebuild', '--full')).stdout, /^Indexed 300 file\(s\)/);
  });
});
