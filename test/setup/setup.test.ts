/** `scripts/setup.sh` with every command it calls replaced: the real one is for CI's machines. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, lstatSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { before, beforeEach, describe, it } from 'node:test';
import { temporaryFolder } from '../harness/folder.ts';

const SCRIPT = resolve('scripts/setup.sh');
const POLICY = 'usr/sbin/policy-rc.d';
/** The commands that the script needs; everything else that it calls is a stub. */
const TOOLS = ['sh', 'sed', 'tr', 'grep', 'mkdir', 'chmod', 'mv', 'rm', 'cat', 'sleep', 'touch', 'ls'];

let root: string;
let folder: string;
before(async () => {
  root = temporaryFolder('setup');
});
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'case-'));
  await mkdir(join(folder, 'bin'));
  for (const tool of TOOLS) {
    const found = ['/usr/bin', '/bin'].map((dir) => join(dir, tool)).find((path) => existsSync(path));
    if (found !== undefined) await symlink(found, join(folder, 'bin', tool));
  }
  await put('etc/os-release', 'ID=debian\n');
  await put('fuse-device', '');
  await stub('id', 'case $1 in -u) echo 0 ;; *) echo tester ;; esac');
  // An apt-get that installs: a package's command appears, and the policy that stood at that time is kept.
  await stub(
    'apt-get',
    `echo "apt-get $*" >>"$T/calls"
case " $* " in *' update '*) touch "$T/updated"; exit "$(cat "$T/update-status" 2>/dev/null || echo 0)" ;; esac
cat "$T/${POLICY}" >"$T/policy-seen" 2>/dev/null
ls -l "$T/${POLICY}" >"$T/policy-mode"
[ -e "$T/apt-waits" ] && { touch "$T/apt-started"; sleep 30; }
[ -e "$T/apt-fails" ] && { echo 'E: no' >&2; exit 100; }
for name in "$@"; do
  case $name in
    fuse3) name=fusermount ;;
    libarchive-tools) name=bsdtar ;;
    e2fsprogs) name=mkfs.ext4 ;;
    xfsprogs) name=mkfs.xfs ;;
    btrfs-progs) name=mkfs.btrfs ;;
    eyed3) name=eyeD3 ;;
    atomicparsley) name=AtomicParsley ;;
    mkvtoolnix) name='mkvmerge mkvpropedit' ;;
    flac) name='flac metaflac' ;;
  esac
  case $name in -* | install | DPkg*) continue ;; esac
  for command in $name; do printf '#!/bin/sh\\n' >"$T/bin/$command" && chmod 755 "$T/bin/$command"; done
done`,
  );
  await stub('apt-cache', '[ -e "$T/unknown" ] && [ ! -e "$T/updated" ] && exit 0; echo "  Candidate: 1.0"');
  await stub('update-rc.d', 'echo "update-rc.d $*" >>"$T/calls"');
  await stub('system-python', '[ -e "$T/bin/python3-libtorrent" ]');
});

async function put(name: string, text: string): Promise<string> {
  const file = join(folder, name);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, text);
  return file;
}

async function stub(name: string, body = ''): Promise<void> {
  await chmod(await put(join('bin', name), `#!/bin/sh\n${body}\n`), 0o755);
}

const environment = (): Record<string, string> => ({
  PATH: join(folder, 'bin'),
  T: folder,
  AUTOTORRENT_SETUP_ROOT: folder,
  AUTOTORRENT_SETUP_FUSE_DEVICE: join(folder, 'fuse-device'),
  AUTOTORRENT_SETUP_PYTHON: join(folder, 'bin/system-python'),
});

interface Run {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

function setup(...args: string[]): Run {
  const { status, stdout, stderr } = spawnSync('/bin/sh', [SCRIPT, ...args], {
    env: environment(),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
  });
  return { status, out: stdout, err: stderr };
}

/** Runs it on a terminal, where somebody types `text`. */
function answer(text: string): Run {
  const { status, stdout, stderr } = spawnSync('/usr/bin/script', ['-qec', `sh ${SCRIPT} mount`, '/dev/null'], {
    env: { ...environment(), SHELL: '/bin/sh' },
    input: text,
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, out: stdout.replaceAll('\r', ''), err: stderr };
}

async function calls(): Promise<string[]> {
  const text = await readFile(join(folder, 'calls'), 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line !== '');
}

const INSTALL = 'apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends';
const UPDATE = 'apt-get -q -y -o DPkg::Lock::Timeout=120 update';

describe('scripts/setup.sh', () => {
  it('says one line and calls nothing where all is there', async () => {
    const there = [
      'fusermount',
      'rtorrent',
      'deluged',
      'deluge-web',
      'qbittorrent-nox',
      'mktorrent',
      'bsdtar',
      'unar',
      'openssl',
      'mkfs.ext4',
      'mkfs.xfs',
      'mkfs.btrfs',
      'mergerfs',
      'flac',
      'metaflac',
      'lame',
      'id3v2',
      'eyeD3',
      'AtomicParsley',
      'mkvmerge',
      'mkvpropedit',
    ];
    for (const name of [...there, 'python3-libtorrent']) await stub(name);
    // Daemons lie in sbin, which an ordinary PATH lacks.
    await chmod(await put('usr/sbin/transmission-daemon', '#!/bin/sh\n'), 0o755);
    assert.deepEqual(setup('test'), { status: 0, out: 'setup: all that test needs is there\n', err: '' });
    assert.deepEqual(setup('quickstart'), { status: 0, out: 'setup: all that quickstart needs is there\n', err: '' });
    assert.deepEqual(setup(), { status: 0, out: 'setup: all that mount needs is there\n', err: '' });
    assert.deepEqual(await calls(), []);
  });

  it('installs what is missing, says why, and asks for no lists where apt knows the packages', async () => {
    await stub('rtorrent');
    const { status, out, err } = setup('test');
    assert.equal(status, 0, err);
    assert.match(out, /fuse3 - fusermount3, which mounts and unmounts the store for users other than root/);
    assert.match(out, /transmission-daemon - a torrent client/);
    assert.doesNotMatch(out, /rtorrent - /);
    assert.match(out, /all that test needs is there\n$/);
    assert.deepEqual(await calls(), [
      `${INSTALL} fuse3 transmission-daemon deluged deluge-web qbittorrent-nox mktorrent python3-libtorrent libarchive-tools unar openssl e2fsprogs xfsprogs btrfs-progs mergerfs flac lame id3v2 eyed3 atomicparsley mkvtoolnix`,
      ...['transmission-daemon', 'deluged', 'deluge-web'].map((service) => `update-rc.d ${service} disable`),
    ]);
  });

  it('installs for each purpose what it needs', async () => {
    setup('mount');
    assert.deepEqual(await calls(), [`${INSTALL} fuse3`]);
    setup('quickstart');
    assert.equal((await calls())[1], `${INSTALL} rtorrent transmission-daemon`);
    await rm(join(folder, 'calls'));
    // A second run has nothing to do; a client that was there before stays as enabled as it was.
    assert.equal(setup('quickstart').out, 'setup: all that quickstart needs is there\n');
    assert.deepEqual(await calls(), []);
  });

  it('fetches the lists where apt does not know a package', async () => {
    await put('unknown', '');
    assert.equal(setup('mount').status, 0);
    assert.deepEqual(await calls(), [UPDATE, `${INSTALL} fuse3`]);
  });

  it('goes on where only some list could not be fetched', async () => {
    await put('unknown', '');
    await put('update-status', '100');
    const { status, err } = setup('mount');
    assert.equal(status, 0);
    assert.match(err, /apt-get update failed in part/);
  });

  it('explains a failing apt-get, after trying with new lists', async () => {
    await put('apt-fails', '');
    const { status, err } = setup('mount');
    assert.equal(status, 1);
    assert.match(err, /E: no\n[^]*apt-get failed \(its messages are above\)[^]*dpkg --configure -a/);
    assert.deepEqual(await calls(), [`${INSTALL} fuse3`, UPDATE, `${INSTALL} fuse3`]);
    assert.equal(existsSync(join(folder, POLICY)), false);
  });

  it('refuses an unknown purpose', () => {
    const { status, err } = setup('tests');
    assert.equal(status, 2);
    assert.match(err, /unknown purpose 'tests'; usage: sh scripts\/setup\.sh \[mount\|quickstart\|test\]/);
  });

  describe('keeps services from starting', () => {
    it('with a policy that is gone afterwards', async () => {
      assert.equal(setup('mount').status, 0);
      assert.match(await readFile(join(folder, 'policy-seen'), 'utf8'), /\nexit 101\n$/);
      assert.match(await readFile(join(folder, 'policy-mode'), 'utf8'), /^-rwxr-xr-x/);
      assert.equal(existsSync(join(folder, POLICY)), false);
    });

    for (const [outcome, file] of [
      ['success', 'nothing'],
      ['failure', 'apt-fails'],
    ] as const) {
      it(`and puts the machine's own policy back as it was, after ${outcome}`, async () => {
        await put(file, '');
        const own = await put(POLICY, '#!/bin/sh\nexit 0\n');
        await chmod(own, 0o751);
        await utimes(own, 1000, 1000);
        const then = lstatSync(own);
        setup('mount');
        assert.match(await readFile(join(folder, 'policy-seen'), 'utf8'), /exit 101/);
        const now = lstatSync(own);
        assert.deepEqual([now.ino, now.mode, now.mtimeMs], [then.ino, then.mode, then.mtimeMs]);
        assert.equal(await readFile(own, 'utf8'), '#!/bin/sh\nexit 0\n');
      });
    }

    for (const [signal, status] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      it(`and puts it back on ${signal}`, async () => {
        await put('apt-waits', '');
        await put(POLICY, 'own');
        // A session of its own, as a terminal gives a command: the signal reaches the script and what it runs.
        const child = spawn('/bin/sh', [SCRIPT, 'mount'], { env: environment(), detached: true, stdio: 'ignore' });
        const ended = new Promise<number | null>((done) => child.on('exit', done));
        try {
          while (!existsSync(join(folder, 'apt-started'))) await new Promise((done) => setTimeout(done, 10));
          process.kill(-(child.pid ?? assert.fail()), signal);
          assert.equal(await ended, status);
        } finally {
          if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? 0), 'SIGKILL');
        }
        assert.equal(await readFile(join(folder, POLICY), 'utf8'), 'own');
      });
    }

    it('and mends what a killed run left behind, also where nothing is to be installed', async () => {
      await stub('fusermount');
      // A process that has ended: its number belongs to nobody.
      const { pid } = spawnSync('/bin/true');
      const left = `#!/bin/sh\n# autotorrent-setup ${pid}\nexit 101\n`;
      await put(POLICY, left);
      assert.equal(setup('mount').status, 0);
      assert.equal(existsSync(join(folder, POLICY)), false);
      await put(POLICY, left);
      await put(`${POLICY}.kept-by-autotorrent`, 'own');
      assert.equal(setup('mount').status, 0);
      assert.equal(await readFile(join(folder, POLICY), 'utf8'), 'own');
      // The policy of a run that is at work stays.
      await put(POLICY, `# autotorrent-setup ${process.pid}\n`);
      assert.equal(setup('mount').status, 0);
      assert.equal(await readFile(join(folder, POLICY), 'utf8'), `# autotorrent-setup ${process.pid}\n`);
    });
  });

  describe('on a terminal', () => {
    it('asks, and takes Enter for yes', async () => {
      const { status, out } = answer('\n');
      assert.match(out, /setup: install them now with apt-get\? \[Y\/n\]/);
      assert.equal(status, 0, out);
      assert.deepEqual(await calls(), [`${INSTALL} fuse3`]);
    });

    it('installs nothing after a no, and says how to', async () => {
      const { status, out } = answer('n\n');
      assert.equal(status, 1);
      assert.match(out, /as root: apt-get install --no-install-recommends fuse3\n/);
      assert.deepEqual(await calls(), []);
    });
  });

  describe('where it cannot install', () => {
    const systems: readonly (readonly [string, string, RegExp])[] = [
      ['Fedora', 'ID=fedora\n', /as root: dnf install fuse fuse3 rtorrent transmission-daemon\n/],
      ['a kin of RHEL', 'ID="rocky"\nID_LIKE="rhel centos fedora"\n', /as root: dnf install fuse fuse3/],
      ['Arch', 'ID=arch\n', /as root: pacman -S --needed fuse2 fuse3 rtorrent transmission-cli\n/],
      ['another system', 'ID=void\n', /Debian, Ubuntu +apt-get install[^]*Fedora +dnf[^]*Arch +pacman/],
    ];
    for (const [name, release, expected] of systems) {
      it(`says what to install: ${name}`, async () => {
        await put('etc/os-release', release);
        const { status, err } = setup('quickstart');
        assert.equal(status, 1);
        assert.match(err, expected);
        assert.deepEqual(await calls(), []);
      });
    }

    it('says it to an ordinary user without sudo, also on a kin of Debian', async () => {
      await stub('id', 'case $1 in -u) echo 1000 ;; *) echo tester ;; esac');
      await put('etc/os-release', 'ID=linuxmint\nID_LIKE="ubuntu debian"\n');
      const { status, err } = setup('mount');
      assert.equal(status, 1);
      assert.match(
        err,
        /only root can install packages\.\n[^]*as root: apt-get install --no-install-recommends fuse3\n/,
      );
      assert.deepEqual(await calls(), []);
    });

    it('goes through sudo where that asks for no password', async () => {
      await stub('id', 'case $1 in -u) [ -n "$AS_ROOT" ] && echo 0 || echo 1000 ;; *) echo tester ;; esac');
      await stub('sudo', 'case $1 in -n) exit 0 ;; esac\nAS_ROOT=1; export AS_ROOT; exec "$@"');
      assert.equal(setup('mount').status, 0);
      assert.deepEqual(await calls(), [`${INSTALL} fuse3`]);
    });

    it('is content without root where all is there', async () => {
      await stub('id', 'echo 1000');
      await stub('fusermount');
      assert.equal(setup('mount').status, 0);
    });

    it('says what to do without /dev/fuse', async () => {
      await stub('fusermount');
      await stub('modprobe', 'echo "modprobe $*" >>"$T/calls"');
      await rm(join(folder, 'fuse-device'));
      const { status, err } = setup('mount');
      assert.equal(status, 1);
      assert.match(
        err,
        /fuse-device is missing[^]*modprobe fuse[^]*mknod -m 666 \/dev\/fuse c 10 229[^]*--device \/dev\/fuse --cap-add SYS_ADMIN/,
      );
      assert.deepEqual(await calls(), ['modprobe fuse']);
    });

    it('goes on where modprobe helps', async () => {
      await stub('fusermount');
      await stub('modprobe', 'touch "$T/fuse-device"');
      await rm(join(folder, 'fuse-device'));
      assert.equal(setup('mount').status, 0);
    });

    it('says what to do where /dev/fuse cannot be opened', async () => {
      await stub('fusermount');
      await rm(join(folder, 'fuse-device'));
      await mkdir(join(folder, 'fuse-device')); // refuses to be opened for writing, to root as well
      const { status, err } = setup('mount');
      assert.equal(status, 1);
      assert.match(err, /cannot be opened for reading and writing by tester\.[^]*--cap-add SYS_ADMIN/);
    });
  });
});
