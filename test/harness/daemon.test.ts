import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { describe, it } from 'node:test';
import { startDaemon, waitUntil } from './daemon.ts';

/** A shell that runs `onTerm` at SIGTERM. */
async function shell(onTerm: string): ReturnType<typeof startDaemon> {
  const daemon = await startDaemon('sh', ['-c', `trap '${onTerm}' TERM; echo ready; while :; do sleep 0.02; done`], {
    cwd: tmpdir(),
  });
  await waitUntil('it is ready', async () => daemon.output().includes('ready'), { daemon });
  return daemon;
}

describe('a daemon that is told to end', () => {
  it('is waited for while it takes its time', async () => {
    const daemon = await shell('sleep 0.3; echo in order; exit 0');
    await daemon.stop();
    assert.match(daemon.output(), /in order/);
    assert.equal(daemon.exited(), 'sh ended with 0');
    await daemon.stop();
  });

  it('is killed where it hangs, and that is a failure', async () => {
    const daemon = await shell('');
    await assert.rejects(daemon.stop('SIGTERM', 200), /sh did not end within 200 ms of SIGTERM\nready/);
    assert.equal(daemon.exited(), 'sh ended with SIGKILL');
  });
});
