import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Server } from '../../conformance/server.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../../harness/plans.ts';

const run = promisify(execFile);
const LENGTH = 300_000;
const READ = 4096;

/** No FUSE kernel older than 6.6 takes DIRECT_IO together with maps. */
const isNew = async (): Promise<boolean> => {
  const [major = 0, minor = 0] = (await fs.readFile('/proc/sys/kernel/osrelease', 'utf8')).split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 6);
};

describe('what the kernel caches of a mount, driver kernel', () => {
  const bytes = randomBytes(LENGTH);
  let base: string;
  let folder: string;
  let server: Server;

  before(async () => {
    base = temporaryFolder('uncached');
    folder = join(base, 'mnt', 'E', 'T');
    server = await Server.start({ driver: 'kernel', mountPoint: join(base, 'mnt'), statePath: join(base, 'state') });
    await fs.writeFile(join(base, 'one'), Buffer.concat([randomBytes(13), bytes.subarray(0, 100_001)]));
    await fs.writeFile(join(base, 'other'), Buffer.concat([randomBytes(7), bytes.subarray(100_001)]));
    const mapped = [
      { length: 100_001, source: 0, sourceOffset: 13 },
      { length: LENGTH - 100_001, source: 1, sourceOffset: 7 },
    ];
    const files = [fileOf(['T', 'mapped'], mapped), fileOf(['T', 'written over'], mapped)];
    await server.create(planOf('E', [sourceOf(join(base, 'one')), sourceOf(join(base, 'other'))], files));
  });

  after(async () => {
    await server?.stop();
  });

  /** How many requests two reads of the same bytes of an open file take. */
  async function requestsOfTwo(file: fs.FileHandle): Promise<number> {
    const buffer = Buffer.alloc(READ);
    // What is read ahead is there with the first one.
    await file.read(buffer, 0, READ, 8 * READ);
    const before = (await server.status()).reads;
    for (let i = 0; i < 2; i++) await file.read(buffer, 0, READ, 8 * READ);
    return (await server.status()).reads - before;
  }

  async function opened<T>(name: string, flags: string, work: (file: fs.FileHandle) => Promise<T>): Promise<T> {
    const file = await fs.open(join(folder, name), flags);
    try {
      return await work(file);
    } finally {
      await file.close();
    }
  }

  it('is nothing of users’ files that are read alone', async (test) => {
    if (!(await isNew())) return test.skip('this kernel maps no file that it does not cache');
    assert.equal(await opened('mapped', 'r', requestsOfTwo), 2);
    assert.deepEqual(await fs.readFile(join(folder, 'mapped')), bytes);
  });

  it('is what may be written, or was', async () => {
    assert.equal(await opened('mapped', 'r+', requestsOfTwo), 0);
    await opened('written over', 'r+', async (file) => void (await file.write('written', 5)));
    assert.equal(await opened('written over', 'r', requestsOfTwo), 0);
    await fs.writeFile(join(folder, 'new'), bytes);
    assert.equal(await opened('new', 'r', requestsOfTwo), 0);
  });

  it('is never older than a write', async () => {
    await opened('mapped', 'r', async (reader) => {
      await opened('mapped', 'r+', async (writer) => {
        const buffer = Buffer.alloc(READ);
        for (const text of ['first', 'second']) {
          await writer.write(text, 3 * READ);
          await reader.read(buffer, 0, READ, 3 * READ);
          assert.equal(buffer.toString('latin1', 0, text.length), text);
        }
      });
    });
  });

  it('is mapped as it is read', async () => {
    const script = `
import hashlib, mmap, os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
for kind in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
  with mmap.mmap(file, 0, flags=kind, prot=mmap.PROT_READ) as map:
    assert hashlib.sha1(map).hexdigest() == hashlib.sha1(os.pread(file, len(map), 0)).hexdigest()
    print(len(map))`;
    const { stdout } = await run('python3', ['-c', script, join(folder, 'mapped')]);
    assert.equal(stdout, `${LENGTH}\n${LENGTH}\n`);
  });
});
