import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { readSmallFile, readSmallFileOrPipe } from '../../src/bytes/read-file.ts';
import { temporaryFolder } from '../harness/folder.ts';

describe('reading a small file', () => {
  let folder: string;
  const at = (name: string): string => join(folder, name);
  const both = [
    ['a file', async (path: string, most: number) => await Promise.resolve().then(() => readSmallFile(path, most))],
    ['a file or a pipe', async (path: string, most: number) => await readSmallFileOrPipe(path, most)],
  ] as const;

  before(() => {
    folder = temporaryFolder('read-file');
    writeFileSync(at('file'), 'content');
    writeFileSync(at('empty'), '');
    mkdirSync(at('folder'));
    symlinkSync('file', at('link'));
    execFileSync('mkfifo', [at('fifo')]);
  });

  for (const [what, read] of both) {
    it(`gives the bytes of a file, up to a limit: ${what}`, async () => {
      assert.equal((await read(at('file'), 7)).toString(), 'content');
      assert.equal((await read(at('link'), 7)).toString(), 'content');
      assert.equal((await read(at('empty'), 7)).length, 0);
      await assert.rejects(read(at('file'), 6), { code: 'TOO_LARGE', message: 'it is 7 bytes long' });
      await assert.rejects(read(at('nothing'), 6), { code: 'ENOENT' });
    });

    it(`reads files that tell no size: ${what}`, async () => {
      assert.match((await read('/proc/self/status', 100_000)).toString(), /^Name:/);
      await assert.rejects(read('/proc/self/status', 20), { code: 'TOO_LARGE' });
    });

    it(`refuses folders and devices, and reads no byte of them: ${what}`, async () => {
      await assert.rejects(read(at('folder'), 7), { code: 'NOT_REGULAR', message: 'it is a folder, not a file' });
      await assert.rejects(read('/dev/zero', 7), { code: 'NOT_REGULAR', message: 'it is a device, not a file' });
    });
  }

  it('does not wait for a pipe where a file is wanted', () => {
    assert.throws(() => readSmallFile(at('fifo'), 7), { code: 'NOT_REGULAR', message: 'it is a pipe, not a file' });
  });

  it('reads a pipe until its writer has closed it, up to a limit', async () => {
    // A writer that still has the pipe open is one whose end the next reader sees.
    const write = (text: string): Promise<unknown> =>
      once(spawn('sh', ['-c', `printf ${text} >"$0"`, at('fifo')], { stdio: 'ignore' }), 'exit');
    const short = write('through');
    assert.equal((await readSmallFileOrPipe(at('fifo'), 7)).toString(), 'through');
    await short;
    const long = write('throughout');
    await assert.rejects(readSmallFileOrPipe(at('fifo'), 7), { code: 'TOO_LARGE' });
    await long;
  });

  it('ends the wait for a writer when it is asked to', async () => {
    const stop = new AbortController();
    const reading = readSmallFileOrPipe(at('fifo'), 7, stop.signal);
    setTimeout(() => stop.abort(new Error('enough')), 20);
    await assert.rejects(reading, { message: 'enough' });
    await assert.rejects(readSmallFileOrPipe(at('fifo'), 7, AbortSignal.abort(new Error('before'))), {
      message: 'before',
    });
  });
});
