/** Files that the kernel reads itself: no open that writes ever reaches a source. Programs are other processes than the server. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Server } from '../../conformance/server.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { makeFileSystem, type TestFileSystem } from '../../harness/file-systems.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { NEEDS_ROOT } from '../../harness/other-user.ts';
import { fileOf, planOf, sourceOf } from '../../harness/plans.ts';
import { content } from '../../vfs/proving/library.ts';

const run = promisify(execFile);
const FILM = content(3, 300_000);

/**
 * Holds the file open for reading, tries to change it by each way of opening, and prints those that failed. What the reader
 * reads must stay what it was.
 */
const WAYS = `
import errno, mmap, os, sys
path = sys.argv[1]
reader = os.open(path, os.O_RDONLY)
before = os.pread(reader, 1 << 20, 0)
view = mmap.mmap(reader, 0, mmap.MAP_SHARED, mmap.PROT_READ)
failed = []
try: mmap.mmap(reader, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
except OSError as error: failed.append('mmap ' + errno.errorcode[error.errno])
extra = {'': 0, 'O_APPEND': os.O_APPEND, 'O_CREAT': os.O_CREAT, 'O_TRUNC': os.O_TRUNC, 'O_CREAT|O_TRUNC': os.O_CREAT | os.O_TRUNC,
  'O_DIRECT': os.O_DIRECT, 'O_SYNC': os.O_SYNC, 'O_DSYNC|O_NONBLOCK': os.O_DSYNC | os.O_NONBLOCK, 'O_CREAT|O_EXCL': os.O_CREAT | os.O_EXCL}
for mode in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY):
  for name, more in extra.items():
    try: fd = os.open(path, mode | more)
    except OSError as error:
      failed.append('%d %s %s' % (mode, name, errno.errorcode[error.errno])); continue
    if mode != os.O_RDONLY and name != 'O_DIRECT': os.pwrite(fd, b'overlay', 5)
    if mode == os.O_RDWR and os.fstat(fd).st_size > 0:
      with mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as shared: shared[0:3] = b'map'
    os.close(fd)
try: os.close(os.open('/proc/self/fd/%d' % reader, os.O_RDWR | os.O_TRUNC))
except OSError as error: failed.append('proc ' + errno.errorcode[error.errno])
by_path = os.open(path, os.O_PATH)
try: os.close(os.open('/proc/self/fd/%d' % by_path, os.O_WRONLY))
except OSError as error: failed.append('O_PATH ' + errno.errorcode[error.errno])
os.truncate(path, 100)
assert os.stat(path).st_size == 100
assert os.pread(reader, 1 << 20, 0) == before, 'the reader sees other bytes'
assert view[:] == before, 'the mapping sees other bytes'
print('\\n'.join(failed))
`;

describe('passthrough, driver kernel', { skip: NEEDS_ROOT }, () => {
  let disk: TestFileSystem;
  let base: string;
  let server: Server;
  let source: string;
  let path: string;
  let made = 0;
  before(async () => {
    disk = await makeFileSystem('ext4', temporaryFolder('passthrough'));
  });
  after(async () => await disk?.close());
  beforeEach(async () => {
    base = temporaryFolder('passed');
    const mountPoint = join(base, 'store');
    server = await Server.start({ driver: 'kernel', mountPoint, statePath: join(base, 'state'), leased: true });
    source = join(disk.path, `film ${made++}`);
    await fs.writeFile(source, FILM);
    const plan = planOf(
      'E',
      [sourceOf(source)],
      [fileOf(['film'], [{ length: FILM.length, source: 0, sourceOffset: 0 }])],
    );
    await server.create(plan);
    path = join(mountPoint, 'E', 'film');
    // Its thread of leases has started by then.
    await waitUntil('passthrough', async () => {
      const file = await fs.open(path);
      const { files } = (await server.status()).passed;
      await file.close();
      return files === 1;
    });
    await waitUntil('the release', async () => (await server.status()).passed.files === 0);
  });
  afterEach(async () => await server?.stop());

  it('has the kernel read the source, to many readers, without a request', async () => {
    const { reads } = await server.status();
    const files = [await fs.open(path), await fs.open(path)];
    try {
      for (const file of files) assert.ok((await file.readFile()).equals(FILM));
      const status = await server.status();
      assert.deepEqual([status.passed, status.reads], [{ files: 1, changed: 0 }, reads]);
    } finally {
      for (const file of files) await file.close();
    }
  });

  it('never lets a writer reach the source, however the file is opened', async () => {
    const stat = await fs.stat(path);
    const { stdout } = await run('python3', ['-c', WAYS, path]);
    assert.ok((await fs.readFile(source)).equals(FILM));
    const expected = new Set(['1 O_CREAT|O_EXCL EEXIST', '2 O_CREAT|O_EXCL EEXIST', '0 O_CREAT|O_EXCL EEXIST']);
    const failed = stdout.split('\n').filter((line) => line !== '' && !expected.has(line));
    // Only where there is no name to look up.
    assert.deepEqual(
      failed,
      ['mmap EACCES', 'proc ESTALE', 'O_PATH ESTALE'].filter((line) => failed.includes(line)),
    );
    const after = await fs.stat(path);
    assert.deepEqual([after.ino, after.size], [stat.ino, 100]);
    await waitUntil('the release', async () => (await server.status()).passed.files === 0);
  });

  it('gives readers what a writer has written when they open the file after him', async () => {
    const reader = await fs.open(path);
    const writer = await fs.open(path, 'r+');
    const expected = Buffer.from(FILM);
    expected.write('written', 1000);
    try {
      assert.equal((await server.status()).passed.files, 1);
      await writer.write('written', 1000);
      assert.ok((await fs.readFile(path)).equals(expected));
      assert.ok((await reader.readFile()).equals(FILM));
    } finally {
      await reader.close();
      await writer.close();
    }
    assert.ok((await fs.readFile(path)).equals(expected));
    assert.ok((await fs.readFile(source)).equals(FILM));
  });

  it('leaves a read past the cache to the server, which takes any length', async () => {
    const reader = await fs.open(path);
    const direct = await fs.open(path, fs.constants.O_RDONLY | fs.constants.O_DIRECT);
    try {
      for (const file of [direct, reader]) {
        const buffer = Buffer.alloc(1001);
        assert.equal((await file.read(buffer, 0, buffer.length, 77)).bytesRead, buffer.length);
        assert.deepEqual(buffer, FILM.subarray(77, 77 + buffer.length));
      }
      assert.equal((await server.status()).passed.files, 1);
    } finally {
      await direct.close();
      await reader.close();
    }
  });

  it('is read by requests while it is open for writing', async () => {
    const writer = await fs.open(path, 'r+');
    const { reads } = await server.status();
    try {
      assert.ok((await fs.readFile(path)).equals(FILM));
      const status = await server.status();
      assert.ok(status.reads > reads);
      assert.equal(status.passed.files, 0);
    } finally {
      await writer.close();
    }
  });

  it('counts who reads a source that somebody changed, and hashes for who opens it then', async () => {
    const reader = await fs.open(path);
    try {
      await run('python3', [
        '-c',
        'import os,sys\nos.pwrite(os.open(sys.argv[1], os.O_WRONLY), b"changed", 0)',
        source,
      ]);
      await waitUntil('the count', async () => (await server.status()).passed.changed === 1);
      const second = await fs.open(path).catch(() => undefined);
      assert.equal((await server.status()).passed.files, 1);
      await second?.close();
    } finally {
      await reader.close();
    }
    await waitUntil('the release', async () => (await server.status()).passed.files === 0);
  });
});
