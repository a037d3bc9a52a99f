/** Mounts of driver kernel by an ordinary user, through fusermount3; and what refuses him, with its remedy. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { temporaryFolder } from '../../harness/folder.ts';
import { NEEDS_ROOT, OTHER_USER } from '../../harness/other-user.ts';
import { ordinaryUser, type Person } from '../../harness/person.ts';
import type { Served } from './serve-empty.ts';

const run = promisify(execFile);
const SCRIPT = fileURLToPath(new URL('serve-empty.js', import.meta.url));

interface Server {
  readonly served: Served;
  readonly child: ChildProcess;
  end(signal: NodeJS.Signals): Promise<void>;
}

describe("an ordinary user's mount, driver kernel", { skip: NEEDS_ROOT }, () => {
  const base = temporaryFolder('user-mount');
  let user: Person;
  let mnt: string;
  let rounds = 0;

  /** A command line of the user's, as it is in his namespace. */
  const asUser = async (...command: readonly string[]): Promise<string> => {
    const [program = '', ...args] = [...user.command, ...command];
    return (await run(program, args, { cwd: '/', timeout: 10_000 })).stdout;
  };
  /** The same as root. */
  const within = async (script: string): Promise<string> => {
    const [program = '', namespace = ''] = user.command;
    return (await run(program, [namespace, 'sh', '-c', script, 'sh', mnt], { cwd: '/', timeout: 10_000 })).stdout;
  };
  const mounts = async (): Promise<string[]> =>
    (await within('cat /proc/self/mountinfo')).split('\n').filter((line) => line.includes(` ${mnt} `));

  async function serve(others = '', prefix: readonly string[] = []): Promise<Server> {
    const [program, ...args] = [
      ...user.command,
      ...prefix,
      process.execPath,
      SCRIPT,
      'kernel',
      mnt,
      join(base, `state${rounds}`),
      others,
    ];
    const child = spawn(program, args, { cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    const [line] = await Promise.race([
      once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>,
      exited.then(() => Promise.reject(new Error('the server ended without a word'))),
    ]);
    return {
      served: JSON.parse(line) as Served,
      child,
      async end(signal) {
        child.kill(signal);
        await exited;
      },
    };
  }

  async function refused(
    ...args: Parameters<typeof serve>
  ): Promise<{ readonly refused: string; readonly hint: string }> {
    const server = await serve(...args);
    await server.end('SIGTERM');
    assert.ok('refused' in server.served);
    assert.deepEqual(await mounts(), []);
    return { refused: server.served.refused, hint: server.served.hint ?? '' };
  }

  before(async () => {
    chmodSync(base, 0o755);
    mkdirSync(join(base, 'shared'));
    mkdirSync(join(base, 'things'));
    user = await ordinaryUser(join(base, 'things'), join(base, 'shared'));
  });

  beforeEach(() => {
    rounds += 1;
    mnt = join(base, `mount${rounds}`);
    for (const folder of [mnt, join(base, `state${rounds}`)]) {
      mkdirSync(folder);
      chownSync(folder, OTHER_USER.uid, OTHER_USER.gid);
    }
  });

  after(async () => {
    await user?.end();
  });

  it('comes from fusermount3, is his alone, and goes with him', async () => {
    const server = await serve();
    try {
      assert.ok('serving' in server.served);
      // Linux 6.9 and later would let root.
      assert.match(server.served.detail, /^FUSE 7\.\d+, no passthrough: it needs (CAP_SYS_ADMIN|Linux 6\.9)$/);
      const [line, ...others] = await mounts();
      assert.deepEqual(others, []);
      assert.match(
        line ?? '',
        / rw,nosuid,nodev.* - fuse\.autotorrent autotorrent rw,user_id=54321,group_id=54321,default_permissions$/,
      );
      assert.equal(
        await asUser('sh', '-c', 'cd "$0" && echo text >file && cat file && stat -c %u file', mnt),
        'text\n54321\n',
      );
      const attribute =
        'import os, sys\ntry: os.getxattr(sys.argv[1], "user.none")\nexcept OSError as e: print(e.errno)';
      // ENODATA.
      // Debian's: another one of root's may be first in the path, where no user gets.
      assert.equal(await asUser('/usr/bin/python3', '-c', attribute, join(mnt, 'file')), '61\n');
      await assert.rejects(within('ls "$1"'), /Permission denied/);
    } finally {
      await server.end('SIGTERM');
    }
    assert.deepEqual(await mounts(), []);
    assert.equal(server.child.exitCode, 0);
  });

  it('goes while a program has a file open, and what a killed server left is replaced', async () => {
    const first = await serve();
    await first.end('SIGKILL');
    assert.equal((await mounts()).length, 1);
    const server = await serve();
    try {
      assert.ok('serving' in server.served);
      const [program, ...args] = [...user.command, 'sh', '-c', 'exec 5>"$0/open"; echo open; exec sleep 60', mnt];
      const holder = spawn(program, args, { cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] });
      try {
        await once(holder.stdout, 'data');
        await server.end('SIGTERM');
        assert.equal(server.child.exitCode, 0);
        assert.deepEqual(await mounts(), []);
      } finally {
        holder.kill();
      }
    } finally {
      await server.end('SIGKILL');
    }
  });

  it('lies on a file system of its own', async () => {
    await within('mount -t tmpfs -o mode=755,uid=54321 tmpfs "$1"');
    try {
      const server = await serve();
      await server.end('SIGTERM');
      assert.ok('serving' in server.served);
      assert.equal((await mounts()).length, 1);
    } finally {
      await within('umount "$1"');
    }
  });

  it('is his own to show to others only if /etc/fuse.conf says so', async () => {
    const conf = join(base, 'things', 'fuse.conf');
    await within(`echo '# nothing' >${conf}; mount --bind ${conf} /etc/fuse.conf`);
    try {
      const { refused: said, hint } = await refused('allow_other');
      assert.match(said, /refused by fusermount3: .*user_allow_other/);
      assert.match(hint, /needs the line user_allow_other in \/etc\/fuse\.conf.*allow_other = no/);
      await within(`echo user_allow_other >${conf}`);
      const server = await serve('allow_other');
      try {
        assert.ok('serving' in server.served);
        assert.equal(await within('ls -A "$1"'), '');
      } finally {
        await server.end('SIGTERM');
      }
    } finally {
      await within('umount /etc/fuse.conf');
    }
  });

  it('is refused to one without an account', async () => {
    await within('umount /etc/passwd');
    try {
      assert.match((await refused()).hint, /\/etc\/passwd has none for user 54321: add one/);
    } finally {
      await within(`mount --bind ${join(base, 'things', 'passwd')} /etc/passwd`);
    }
  });

  it('is refused without the program that mounts, and to processes that may gain no privileges', async () => {
    const missing = await refused('', ['env', 'PATH=/nowhere']);
    assert.match(missing.refused, /^fusermount3 is missing/);
    assert.match(missing.hint, /apt install fuse3/);
    const confined = await refused('', ['setpriv', '--no-new-privs']);
    assert.match(confined.refused, /refused by fusermount3: .*Operation not permitted/);
    assert.match(confined.hint, /no_new_privs; NoNewPrivileges= of systemd/);
  });

  it('is refused where the mount point is not his', async () => {
    chownSync(mnt, 0, 0);
    assert.match((await refused()).hint, /as root, give it to user 54321 \(chown\)/);
  });

  it('is refused to root without CAP_SYS_ADMIN, as in a container', async () => {
    const options = { cwd: '/', timeout: 15_000 };
    const { stdout } = await run(
      'setpriv',
      [
        '--bounding-set',
        '-sys_admin',
        '--inh-caps',
        '-sys_admin',
        process.execPath,
        SCRIPT,
        'kernel',
        mnt,
        join(base, `state${rounds}`),
      ],
      options,
    );
    const { refused: said, hint } = JSON.parse(stdout) as { readonly refused: string; readonly hint: string };
    assert.match(said, /refused by the kernel: mount: EPERM/);
    assert.match(hint, /--device \/dev\/fuse --cap-add SYS_ADMIN/);
  });
});
