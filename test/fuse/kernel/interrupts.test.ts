import assert from 'node:assert/strict';
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDying } from '../../../src/fuse/kernel/interrupts.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { temporaryFolder } from '../../harness/folder.ts';

/** Says what it read, and how often a signal came. */
const READER = `import os,signal,sys
came=[]
signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
fd=os.open(sys.argv[1], os.O_RDONLY)
print(os.read(fd, 4), len(came))`;

describe('an open that waits', { skip: process.getuid?.() !== 0 && 'takes root' }, () => {
  let server: ChildProcess;
  let path: string;

  const reader = async (): Promise<{ readonly child: ChildProcess; readonly said: () => string }> => {
    const waits = once(server, 'message');
    const child = spawn('python3', ['-c', READER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await waits;
    return { child, said: () => said };
  };

  before(async () => {
    const folder = temporaryFolder('interrupts');
    const mountPoint = join(folder, 'store');
    server = fork(fileURLToPath(new URL('serve-waiting.js', import.meta.url)), [mountPoint, join(folder, 'state')]);
    await once(server, 'message');
    path = join(mountPoint, 'file');
    await writeFile(path, 'data'.repeat(2000));
  });
  after(async () => {
    const ended = once(server, 'exit');
    server.kill('SIGTERM');
    await ended;
  });

  it('lets go of a reader that is killed, by whatever signal, while nothing has answered', async () => {
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const { child, said } = await reader();
      const ended = once(child, 'exit');
      child.kill(signal);
      assert.deepEqual(await ended, [null, signal]);
      assert.equal(said(), '');
    }
  });

  it('goes on for a reader that takes a signal and lives', async () => {
    const { child, said } = await reader();
    const ended = once(child, 'exit');
    child.kill('SIGUSR1');
    server.send('go');
    assert.deepEqual(await ended, [0, null]);
    assert.equal(said().trim(), "b'data' 1");
  });

  it('closes what was opened for those that were killed', async () => {
    await waitUntil('the release of the files', async () => {
      const counted = once(server, 'message');
      server.send('count');
      return (await counted)[0] === 0;
    });
  });
});

it('takes no living process for one that dies', async () => {
  assert.equal(await isDying(process.pid), false);
  assert.equal(await isDying(0), false);
});
