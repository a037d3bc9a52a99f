import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { GAP } from '../../../src/extent/extent.ts';
import { ExtendedAttributes } from '../../../src/fuse/kernel/extended-attributes.ts';
import { bytesReply, xattrSizeReply } from '../../../src/fuse/kernel/protocol/replies.ts';
import { InitFlag } from '../../../src/fuse/kernel/protocol/structures.ts';
import { Server } from '../../conformance/server.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../../harness/plans.ts';

const run = promisify(execFile);
const BYTES = Buffer.from('the bytes of the source');
const OTHER = '65534';

/** Runs Python, which has `os`, and prints what `script` prints, or the name of the error that it ends with. */
async function python(script: string, ...args: readonly string[]): Promise<string> {
  const caught = `import os, sys, errno\ntry:\n ${script}\nexcept OSError as error: print(errno.errorcode[error.errno])`;
  return (await run('python3', ['-c', caught, ...args])).stdout.trim();
}

describe('extended attributes of a mount, driver kernel', () => {
  let base: string;
  let mnt: string;
  let server: Server;

  before(async () => {
    base = temporaryFolder('attributes');
    // Another user reaches the mount.
    await fs.chmod(base, 0o755);
    mnt = join(base, 'mnt');
    server = await Server.start({ driver: 'kernel', mountPoint: mnt, statePath: join(base, 'state') });
    await fs.writeFile(join(base, 'source'), BYTES);
    const files = [
      fileOf(['T', 'whole'], [{ length: BYTES.length, source: 0, sourceOffset: 0 }]),
      fileOf(['T', 'gap'], [{ length: 100, source: GAP, sourceOffset: 0 }]),
    ];
    await server.create(planOf('E', [sourceOf(join(base, 'source'))], files));
  });

  after(async () => {
    await server?.stop();
  });

  const at = (...path: readonly string[]): string => join(mnt, 'E', 'T', ...path);
  const get = async (name: string, attribute: string): Promise<string> =>
    await python(
      'print(os.fsdecode(os.getxattr(sys.argv[1], sys.argv[2])))',
      at(name),
      `user.autotorrent.${attribute}`,
    );

  it('have the values that the vfs gives', async () => {
    assert.equal(await get('whole', 'source'), join(base, 'source'));
    assert.equal(await get('whole', 'state'), 'ok');
    assert.match(await get('whole', 'pieces'), /^\d+\/\d+$/);
    assert.equal(await get('gap', 'state'), 'gap');
    assert.equal(await get('gap', 'source'), 'ENODATA');
    assert.equal(await get('whole', 'other'), 'ENODATA');
    assert.equal(await get('.', 'state'), 'ENODATA');
  });

  it('tell a path to root and the owner alone', async () => {
    const script =
      'import os\nfor name in ("state", "source"):\n try: print(os.getxattr(os.environ["FILE"], "user.autotorrent." + name))\n except OSError as error: print(error.strerror)';
    const as = async (user: string): Promise<string[]> => {
      const ids = [`--reuid=${user}`, `--regid=${user}`, '--clear-groups'];
      const { stdout } = await run('setpriv', [...ids, '/usr/bin/python3', '-c', script], {
        env: { FILE: at('whole') },
      });
      return stdout.trim().split('\n');
    };
    assert.deepEqual(await as(OTHER), ["b'ok'", 'Permission denied']);
    assert.deepEqual(await as('0'), ["b'ok'", `b'${join(base, 'source')}'`]);
  });

  it('are listed nowhere and cannot be changed, so that copies do not have them', async () => {
    assert.equal(await python('print(os.listxattr(sys.argv[1]))', at('whole')), '[]');
    const set = 'os.setxattr(sys.argv[1], sys.argv[2], b"value")';
    assert.equal(await python(set, at('whole'), 'user.autotorrent.state'), 'ENOTSUP');
    assert.equal(await python(set, at('whole'), 'user.other'), 'ENOTSUP');
    assert.equal(await python('os.removexattr(sys.argv[1], "user.other")', at('whole')), 'ENOTSUP');
    await run('cp', ['-a', at('whole'), join(base, 'copy')]);
    assert.equal(await python('print(os.listxattr(sys.argv[1]))', join(base, 'copy')), '[]');
    await run('cp', ['-a', join(base, 'copy'), at('copied')]);
    assert.deepEqual(await fs.readFile(at('copied')), BYTES);
  });

  it('refuse a buffer that is too small', async () => {
    const script =
      'import ctypes,os; libc = ctypes.CDLL(None, use_errno=True); b = ctypes.create_string_buffer(3); print(libc.getxattr(os.environb[b"FILE"], b"user.autotorrent.source", b, 3), os.strerror(ctypes.get_errno()))';
    const { stdout } = await run('python3', ['-c', script], { env: { ...process.env, FILE: at('whole') } });
    assert.equal(stdout.trim(), '-1 Numerical result out of range');
  });

  for (const [who, user] of [
    ['root', '0'],
    ['another user', OTHER],
  ] as const) {
    it(`cost no request for each write: ${who}`, async () => {
      const before = (await server.status()).calls;
      const path = join(mnt, `of ${user}`);
      await fs.writeFile(path, '');
      await fs.chown(path, Number(user), Number(user));
      const script =
        'import os\nfd = os.open(os.environ["FILE"], os.O_WRONLY)\nfor i in range(1000): os.pwrite(fd, b"x" * 4096, i * 4096)';
      const ids = [`--reuid=${user}`, `--regid=${user}`, '--clear-groups'];
      await run('setpriv', [...ids, '/usr/bin/python3', '-c', script], { env: { FILE: path } });
      const { calls } = await server.status();
      const made = (name: string): number => (calls[name] ?? 0) - (before[name] ?? 0);
      assert.equal(made('write'), 1000);
      // One for the inode, and one again whenever its attributes were refreshed.
      assert.ok(made('getxattr') <= 10, `${made('getxattr')} requests`);
      assert.equal(made('killSetIds') >= 1000, user !== '0');
    });
  }
});

describe('extended attributes, where the kernel clears set-id bits itself', () => {
  it('are answered ENOSYS, so that it asks no more', () => {
    const value = Buffer.from('value');
    const extended = new ExtendedAttributes({ getxattr: () => value });
    const get = { kind: 'getxattr', unique: 2n, node: 1, uid: 0, gid: 0, pid: 1, name: 'user.some', size: 5 } as const;
    const list = { ...get, kind: 'listxattr' } as const;
    for (const flags of [0n, ~InitFlag.HANDLE_KILLPRIV_V2]) {
      extended.begin(flags);
      assert.throws(() => extended.get(1, get), { code: 'ENOSYS' });
      assert.throws(() => extended.list(list), { code: 'ENOSYS' });
    }
    extended.begin(InitFlag.HANDLE_KILLPRIV_V2);
    assert.deepEqual(extended.get(1, get), bytesReply(2n, value));
    assert.deepEqual(extended.get(1, { ...get, size: 0 }), xattrSizeReply(2n, 5));
    assert.throws(() => extended.get(1, { ...get, size: 4 }), { code: 'ERANGE' });
    const without = new ExtendedAttributes({});
    without.begin(InitFlag.HANDLE_KILLPRIV_V2);
    assert.throws(() => without.list(list), { code: 'ENOSYS' });
  });
});

describe('set-id bits on a mount, driver kernel', () => {
  let folder: string;
  let server: Server;
  let mnt: string;

  before(async () => {
    folder = temporaryFolder('set-ids');
    await fs.chmod(folder, 0o755);
    mnt = join(folder, 'mnt');
    server = await Server.start({ driver: 'kernel', mountPoint: mnt, statePath: join(folder, 'state') });
  });

  after(async () => {
    await server?.stop();
  });

  /** Makes a file with `mode`, has Python change it as `user`, and gives the mode that stat shows then. */
  async function modeAfter(mode: number, script: string, user = OTHER): Promise<number> {
    const path = join(mnt, 'program');
    await fs.writeFile(path, 'bytes');
    await fs.chown(path, Number(OTHER), Number(OTHER));
    await fs.chmod(path, mode);
    assert.equal((await fs.stat(path)).mode & 0o7777, mode);
    const ids = [`--reuid=${user}`, `--regid=${user}`, '--clear-groups'];
    const code = `import os\npath = os.environ["FILE"]\n${script}`;
    await run('setpriv', [...ids, '/usr/bin/python3', '-c', code], { env: { FILE: path } });
    const { mode: after } = await fs.stat(path);
    await fs.rm(path);
    return after & 0o7777;
  }

  const WRITE = 'fd = os.open(path, os.O_WRONLY); os.write(fd, b"x"); os.close(fd)';
  for (const [what, script] of [
    ['a write', WRITE],
    ['a truncate', 'os.truncate(path, 1)'],
    ['an open that truncates', 'os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))'],
    [
      'a write through a map',
      'import mmap\nwith open(path, "r+b") as f:\n m = mmap.mmap(f.fileno(), 0); m[0] = 1; m.flush()',
    ],
  ] as const) {
    it(`go with ${what} of who has no privilege`, async () => {
      // As ext4 has it: a map writes to pages, which ends no bit.
      const kept = what === 'a write through a map';
      assert.equal(await modeAfter(0o6777, script), kept ? 0o6777 : 0o777);
      // Without execution for the group, the bit has another meaning.
      assert.equal(await modeAfter(0o2767, script), 0o2767);
    });
  }

  it('stay where root writes, and go where root changes the owner', async () => {
    assert.equal(await modeAfter(0o6777, WRITE, '0'), 0o6777);
    assert.equal(await modeAfter(0o6777, 'os.chown(path, 7, 7)', '0'), 0o777);
    // Not only of files.
    const fifo = `os.remove(path); os.mkfifo(path); os.chmod(path, 0o6777); os.chown(path, 7, 7)`;
    assert.equal(await modeAfter(0o755, fifo, '0'), 0o777);
  });
});
