import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { complaintOf, findTorrents, readTorrent } from '../../src/app/torrent-files.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

describe('the .torrent files of a command line', () => {
  let folder: string;
  const complaint = async (path: string, signal?: AbortSignal): Promise<string | undefined> => {
    const [file] = await findTorrents([path], folder);
    assert.ok(file !== undefined);
    const { error } = await readTorrent(file, signal);
    return error === undefined ? undefined : complaintOf(error);
  };

  before(() => {
    folder = temporaryFolder('torrent-files');
    const { raw } = makeTorrent({ announce: 'http://127.0.0.1:1/', name: 'x', content: Buffer.from('x') });
    writeFileSync(join(folder, 'good.torrent'), raw);
    writeFileSync(join(folder, 'large.torrent'), '');
    truncateSync(join(folder, 'large.torrent'), 64 * 1024 * 1024 + 1);
    symlinkSync('/dev/zero', join(folder, 'endless.torrent'));
    execFileSync('mkfifo', [join(folder, 'pipe.torrent')]);
  });

  it('takes what is a file from a folder, and waits for nothing else', async () => {
    const complaints: Record<string, string | undefined> = {};
    for (const file of await findTorrents([folder], '/')) {
      const { error } = await readTorrent(file);
      complaints[file.name] = error === undefined ? undefined : complaintOf(error);
    }
    assert.deepEqual(complaints, {
      endless: 'Cannot be read: it is a device, not a file',
      good: undefined,
      large: 'Not a valid torrent: it is 67108865 bytes long; more than 67108864 is no torrent',
      pipe: 'Cannot be read: it is a pipe, not a file',
    });
  });

  it('says why one that is named cannot be read', async () => {
    assert.equal(await complaint('nothing.torrent'), 'Cannot be read: there is no such file');
    assert.equal(await complaint('endless.torrent'), 'Cannot be read: it is a device, not a file');
    assert.equal(await complaint('good.torrent'), undefined);
  });

  it('waits for the writer of a pipe that is named, until it is stopped', async () => {
    const stop = new AbortController();
    const waiting = complaint('pipe.torrent', stop.signal);
    setTimeout(() => stop.abort(new Error('stopped')), 20);
    await assert.rejects(waiting, { message: 'stopped' });
    const reading = complaint('pipe.torrent');
    spawn('sh', ['-c', 'cat "$0" >"$1"', join(folder, 'good.torrent'), join(folder, 'pipe.torrent')], {
      stdio: 'ignore',
    });
    assert.equal(await reading, undefined);
  });
});
