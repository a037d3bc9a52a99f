/** Changes that clients wrote over an entry: shown, dropped, and exported as a finished copy; on a real mount. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmod,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { DifferenceJson, DiscardJson, EntryJson, ExportedJson, FileJson, StatusJson } from '../../src/cli/json.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, startDaemon, waitUntil } from '../harness/daemon.ts';
import { hashTree, temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const exec = promisify(execFile);
const PROGRAM = resolve('dist/src/main.js');
const MB = 2 ** 20;
/** Large enough for an export to be killed in it. */
const BIG = Buffer.alloc(160 * MB);
for (let at = 0; at < BIG.length; at += 4096) BIG.writeUInt32LE(at, at);
const SONG = Buffer.alloc(300_000, 'song ');
const NOTE = Buffer.alloc(10_000, 'note ');

interface Diff {
  readonly counts: Readonly<Record<string, number>>;
  readonly written_bytes: number;
  readonly made_bytes: number;
  readonly differences: readonly DifferenceJson[];
}

describe('what clients write over an entry', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  let server: Daemon;
  let sources: Map<string, string>;
  const undo: (() => Promise<unknown>)[] = [];
  const shown = (...path: readonly string[]): string => join(autotorrent.storePath, 'Album', 'Album', ...path);
  const diff = async (): Promise<Diff> => (await autotorrent.json('overlay', 'diff', 'Album')) as Diff;
  /** The server holds a file open that was just closed, until the kernel reports the close. */
  const discard = async (...args: readonly string[]): Promise<DiscardJson> => {
    let result: DiscardJson | undefined;
    await waitUntil('the files are closed', async () => {
      const { code, stdout } = await autotorrent.run('--json', 'overlay', 'discard', 'Album', '--yes', ...args);
      if (code !== 0) assert.match(stdout, /"CONFLICT"/);
      else result = JSON.parse(stdout) as DiscardJson;
      return code === 0;
    });
    return result ?? assert.fail();
  };
  const writeAt = async (path: string, position: number, bytes: Buffer): Promise<void> => {
    const file = await open(path, 'r+');
    await file.write(bytes, 0, bytes.length, position);
    await file.close();
  };
  const sha1 = async (path: string): Promise<string> =>
    createHash('sha1')
      .update(await readFile(path))
      .digest('hex');
  /** An export in a process of its own. */
  const exporting = async (to: string): Promise<Daemon> =>
    await startDaemon(process.execPath, [PROGRAM, '-c', autotorrent.config, 'overlay', 'export', 'Album', to], {
      cwd: folder,
    });
  /** An export that stands still once it has read 16 MiB, until `go` is called: however fast the machine is. */
  const heldExport = async (to: string): Promise<{ readonly running: Daemon; readonly go: () => Promise<void> }> => {
    const gate = join(folder, 'gate');
    await writeFile(gate, '');
    const held = fileURLToPath(new URL('held-reads.js', import.meta.url));
    const command = ['--import', held, PROGRAM, '-c', autotorrent.config, 'overlay', 'export', 'Album', to];
    const env = { HELD_READS_GATE: gate, HELD_READS_AFTER: `${16 * MB}` };
    const running = await startDaemon(process.execPath, command, { cwd: folder, env });
    return { running, go: async () => await rm(gate) };
  };
  const sizeOf = async (path: string): Promise<number> =>
    await stat(path).then(
      (s) => s.size,
      () => 0,
    );

  before(async () => {
    folder = temporaryFolder('overlay');
    // Others may pass through it: else the mount would show them nothing of what the files let them read.
    await chmod(folder, 0o755);
    await mkdir(join(folder, 'disk'));
    const files = { 'song.bin': SONG, 'big.bin': BIG };
    for (const [name, data] of Object.entries(files)) await writeFile(join(folder, 'disk', name), data);
    await chmod(join(folder, 'disk', 'song.bin'), 0o755);
    await utimes(join(folder, 'disk', 'song.bin'), 1_500_000_000, 1_500_000_000);
    const { raw } = makeTorrent({
      name: 'Album',
      // Small: a file with no piece of its own that is proven would be missing.
      pieceLength: 2 ** 16,
      content: [
        { path: ['big.bin'], data: BIG },
        { path: ['.pad', '99'], data: Buffer.alloc(99), extra: { attr: 'p' } },
        { path: ['disc', 'song.bin'], data: SONG, extra: { attr: 'x' } },
        { path: ['link'], data: Buffer.alloc(0), extra: { attr: 'l', 'symlink path': ['disc', 'song.bin'] } },
        { path: ['note.txt'], data: NOTE },
      ],
    });
    await writeFile(join(folder, 'Album.torrent'), raw);
    sources = await hashTree(join(folder, 'disk'));
    autotorrent = await autotorrentIn({
      folder,
      disks: [join(folder, 'disk')],
      general: ['add_limit_size = 1 GB', 'add_limit_percent = 100'],
    });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    server = await autotorrent.mount();
    undo.push(() => server.stop());
    const { code, stdout, stderr } = await autotorrent.run('add', 'Album.torrent');
    assert.equal(code, 0, stdout + stderr);
  });
  after(async () => {
    assert.deepEqual(await hashTree(join(folder, 'disk')), sources, 'no source was touched');
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  });

  it('is nothing at first', async () => {
    assert.match((await autotorrent.run('overlay', 'diff', 'Album')).stdout, /^Nothing differs from the plan\n$/);
    const { differences } = await diff();
    assert.deepEqual(differences, []);
    assert.match((await autotorrent.run('overlay', 'discard', 'Album', '--yes')).stdout, /^Nothing of 'Album' differs/);
    assert.equal((await autotorrent.run('overlay', 'diff', 'nothing')).code, 1);
  });

  it('is shown by diff, show and status', async () => {
    await writeAt(shown('big.bin'), 5000, Buffer.from('damaged'));
    await writeAt(shown('big.bin'), 100 * MB, Buffer.alloc(MB, 'x'));
    await truncate(shown('disc', 'song.bin'), 1000);
    await rename(shown('disc'), shown('disc 1'));
    await unlink(shown('note.txt'));
    await writeFile(shown('note.txt'), 'mine');
    await mkdir(shown('extra'));
    await writeFile(shown('extra', 'file'), Buffer.alloc(5000, 'e'));
    const { counts, written_bytes: written, made_bytes: made, differences } = await diff();
    assert.deepEqual(counts, { written: 1, resized: 1, touched: 0, moved: 1, deleted: 0, replaced: 1, made: 3 });
    assert.equal(written, 4096 + MB);
    assert.equal(made, 5000 + 4);
    const of = (path: string): DifferenceJson => differences.find((d) => d.path === path) ?? assert.fail(path);
    assert.deepEqual(of('Album/big.bin').ranges, [
      [4096, 8192],
      [100 * MB, 101 * MB],
    ]);
    const song = of('Album/disc/song.bin');
    assert.deepEqual([song.changes, song.named, song.size], [['moved', 'resized'], ['Album/disc 1/song.bin'], 1000]);
    assert.deepEqual([of('Album/note.txt').changes, of('Album/note.txt').size], [['replaced'], 4]);
    assert.equal(of('Album/extra').type, 'directory');
    const text = (await autotorrent.run('overlay', 'diff', 'Album')).stdout;
    assert.match(
      text,
      /^written {3}Album\/big\.bin {2}\(1\.1 MB in 2 range\(s\)\)\n {4}4096–8192\n {4}104857600–105906176\n/m,
    );
    assert.match(
      text,
      /^moved, resized {2}Album\/disc\/song\.bin {2}\(1000 bytes instead of 300000; now Album\/disc 1\/song\.bin\)$/m,
    );
    assert.match(
      text,
      /^Album: 1 written, 1 resized, 1 moved, 1 replaced, 3 made: 1\.1 MB written over files, 5\.0 kB in files/m,
    );

    const { file_list: list } = (await autotorrent.json('show', 'Album')) as { file_list: FileJson[] };
    assert.deepEqual(
      list.map(({ path, state, written_bytes: bytes, written_ranges: ranges }) => [path, state, bytes, ranges]),
      [
        ['Album/big.bin', 'present', 4096 + MB, 2],
        ['Album/.pad/99', 'present', 0, 0],
        ['Album/disc/song.bin', 'moved', 0, 0],
        ['Album/link', 'present', 0, 0],
        ['Album/note.txt', 'replaced', 4, 1],
      ],
    );
    const described = (await autotorrent.run('show', 'Album')).stdout;
    assert.match(described, /Album\/big\.bin {2}\(.*, written: 1052672 bytes in 2 range\(s\)\)/);
    assert.match(described, /Album\/disc\/song\.bin {2}\(.*, moved to another name/);
    assert.match(
      described,
      /Album\/note\.txt {2}\(.*, replaced by a file that a client made, written: 4 bytes in 1 range/,
    );
    const status = (await autotorrent.json('status')) as StatusJson;
    assert.ok(status.writes > 0 && status.bytes_written >= MB + 7);
    assert.ok((status.overlay_bytes ?? 0) >= MB, `${status.overlay_bytes}`);
    assert.deepEqual(status.overlay_problems, []);
    assert.match((await autotorrent.run('status')).stdout, /^writes {3}\d+ of .*; the overlay takes 1\.\d MB$/m);
  });

  it('is not discarded without a yes, nor while a file is open', async () => {
    const asked = await autotorrent.run('overlay', 'discard', 'Album');
    assert.equal(asked.code, 2);
    assert.match(asked.stderr, /nobody can answer here\n {2}give --yes/);
    const file = await open(shown('big.bin'), 'r');
    const refused = await autotorrent.run('overlay', 'discard', 'Album', '--yes');
    await file.close();
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /a file is open in the mount: "Album\/big\.bin"\n {2}Stop the torrent in its client/);
    assert.equal((await diff()).differences.length, 6);
    const none = await autotorrent.run('overlay', 'discard', 'Album', 'Album/link', '--yes');
    assert.match(none.stderr, /nothing of the entry differs at "Album\/link"\n {2}autotorrent overlay diff/);
  });

  it('is discarded file by file, and as a whole', async () => {
    const one = await discard(shown('note.txt'));
    assert.deepEqual([one.discarded, one.bytes, one.kept], [1, 4, []]);
    await waitUntil('the kernel asks again', async () => (await sizeOf(shown('note.txt'))) === NOTE.length);
    const rest = await discard();
    assert.deepEqual([rest.discarded, rest.kept], [5, []]);
    assert.deepEqual((await diff()).differences, []);
    await waitUntil('the kernel asks again', async () => !(await readdir(shown())).includes('extra'));
    assert.deepEqual((await readdir(shown())).toSorted(), ['.pad', 'big.bin', 'disc', 'link', 'note.txt']);
    const { size, mtimeMs, mode } = await stat(shown('disc', 'song.bin'));
    assert.deepEqual([size, mtimeMs, mode & 0o777], [SONG.length, 1_500_000_000_000, 0o755]);
    assert.equal(await sha1(shown('big.bin')), createHash('sha1').update(BIG).digest('hex'));
    const entry = ((await autotorrent.json('list')) as EntryJson[])[0];
    assert.equal(entry?.missing_bytes, NOTE.length);
    const status = (await autotorrent.json('status')) as StatusJson;
    assert.ok((status.overlay_bytes ?? MB) < MB, `${status.overlay_bytes}`);
  });

  it('is not exported while something is missing, unless zeros will do', async () => {
    const to = join(folder, 'zeros');
    const refused = await autotorrent.run('overlay', 'export', 'Album', to);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /10\.0 kB of Album are missing, in "Album\/note\.txt"\n {2}Let a client .*--force/);
    assert.deepEqual(await readdir(folder).then((names) => names.filter((name) => name.startsWith('zeros'))), []);
    const forced = await autotorrent.run('overlay', 'export', 'Album', to, '--force');
    assert.equal(forced.code, 0, forced.stderr);
    assert.match(
      forced.stdout,
      /^Exported 'Album' to .*zeros: 4 file\(s\), 168\.1 MB\nNot whole: zeros in place of 10\.0 kB\n {2}Album\/note\.txt: 10\.0 kB missing\n$/,
    );
    assert.deepEqual(await readFile(join(to, 'Album', 'note.txt')), Buffer.alloc(NOTE.length));
    await rm(to, { recursive: true });
  });

  it('is exported whole, with times, modes and symlinks, and without pads', async () => {
    await writeFile(shown('note.txt'), NOTE);
    await rename(shown('big.bin'), shown('big.bin.part'));
    const to = join(folder, 'copy');
    const exported = (await autotorrent.json('overlay', 'export', 'Album', 'copy')) as ExportedJson;
    assert.deepEqual([exported.files, exported.zero_bytes, exported.incomplete], [4, 0, []]);
    assert.equal(exported.destination, to);
    await rename(shown('big.bin.part'), shown('big.bin'));
    assert.deepEqual((await readdir(to, { recursive: true })).toSorted(), [
      'Album',
      'Album/big.bin',
      'Album/disc',
      'Album/disc/song.bin',
      'Album/link',
      'Album/note.txt',
    ]);
    assert.equal(await sha1(join(to, 'Album', 'big.bin')), createHash('sha1').update(BIG).digest('hex'));
    assert.deepEqual(await readFile(join(to, 'Album', 'link')), SONG);
    assert.equal(await readlink(join(to, 'Album', 'link')), 'disc/song.bin');
    assert.deepEqual(await readFile(join(to, 'Album', 'note.txt')), NOTE);
    for (const path of ['big.bin', 'disc/song.bin', 'note.txt', 'disc']) {
      const [a, b] = [
        await lstat(shown(path), { bigint: true }),
        await lstat(join(to, 'Album', path), { bigint: true }),
      ];
      assert.equal(a.mode, b.mode, path);
      if (path !== 'disc') assert.equal(a.mtimeNs, b.mtimeNs, path);
    }
    const again = await autotorrent.run('overlay', 'export', 'Album', to);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /copy is there already, and is not written over/);
    await rm(to, { recursive: true });
  });

  it('goes on with an export that was killed, after a look at what is there', async () => {
    const to = join(folder, 'resumed');
    const part = async (): Promise<string> => {
      const [hash = ''] = await readdir(`${to}.partial`).catch(() => []);
      return join(`${to}.partial`, hash, 'Album', 'big.bin');
    };
    const first = await exporting(to);
    await waitUntil('some of it is copied', async () => (await sizeOf(await part())) > 8 * MB);
    await first.stop('SIGKILL');
    await assert.rejects(stat(to), { code: 'ENOENT' });
    const left = await sizeOf(await part());
    const second = await exporting(to);
    await waitUntil('more of it is copied', async () => (await sizeOf(await part())) > left + 8 * MB);
    await second.stop('SIGINT');
    assert.match(
      second.output(),
      /The copy so far is in .*resumed\.partial: run the same command to continue it\nstopped/,
    );
    const copied = await sizeOf(await part());
    assert.ok(copied < BIG.length);
    // The disk has lost a part of it.
    await writeAt(await part(), copied - 2 * MB, Buffer.alloc(2 * MB));
    const last = (await autotorrent.json('overlay', 'export', 'Album', to)) as ExportedJson;
    assert.ok(
      last.copied_bytes < last.bytes - copied + 4 * MB,
      `${last.copied_bytes} copied again, ${copied} were there`,
    );
    assert.equal(await sha1(join(to, 'Album', 'big.bin')), createHash('sha1').update(BIG).digest('hex'));
    await assert.rejects(stat(`${to}.partial`), { code: 'ENOENT' });
    await rm(to, { recursive: true });
  });

  it('leaves what is not its own alone, and never leaves its folder', async () => {
    const to = join(folder, 'strange');
    await mkdir(`${to}.partial`);
    await writeFile(join(`${to}.partial`, 'mine'), 'mine');
    const refused = await autotorrent.run('overlay', 'export', 'Album', to);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /strange\.partial holds something else/);
    await rm(`${to}.partial`, { recursive: true });
    const { info_hash: hash } = ((await autotorrent.json('list')) as EntryJson[])[0] ?? assert.fail();
    await mkdir(join(folder, 'outside'));
    await mkdir(join(`${to}.partial`, hash), { recursive: true });
    await symlink(join(folder, 'outside'), join(`${to}.partial`, hash, 'Album'));
    const through = await autotorrent.run('overlay', 'export', 'Album', to);
    assert.equal(through.code, 1);
    assert.match(through.stderr, /Album is no folder/);
    assert.deepEqual(await readdir(join(folder, 'outside')), []);
    await rm(`${to}.partial`, { recursive: true });
    await unlink(shown('link'));
    await symlink('../../outside', shown('link'));
    const out = await autotorrent.run('overlay', 'export', 'Album', to);
    assert.equal(out.code, 1);
    assert.match(
      out.stderr,
      /a client has deleted "Album\/link" of Album\n {2}autotorrent overlay discard brings files back/,
    );
    assert.deepEqual((await discard('Album/link')).kept, []);
    await waitUntil('the kernel asks again', async () => (await readlink(shown('link'))) === 'disc/song.bin');
    const inside = await autotorrent.run('overlay', 'export', 'Album', join(autotorrent.storePath, 'Album', 'copy'));
    assert.match(inside.stderr, /lies on a mount of autotorrent/);
    const nowhere = await autotorrent.run('overlay', 'export', 'Album', join(folder, 'no', 'where'));
    assert.match(nowhere.stderr, /the folder .*no is not there\n {2}mkdir -p/);
  });

  it('says so where there is no room, and goes on when there is', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root can mount a small disk');
    const small = join(folder, 'small');
    await mkdir(small);
    await exec('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', small]);
    try {
      const before = await autotorrent.run('overlay', 'export', 'Album', join(small, 'copy'));
      assert.equal(before.code, 1);
      assert.match(before.stderr, /there is no room for 168\.1 MB in .*small: 16\.8 MB are free/);
      const { info_hash: hash } = ((await autotorrent.json('list')) as EntryJson[])[0] ?? assert.fail();
      // As if it had begun when there was room.
      await mkdir(join(small, 'copy.partial', hash), { recursive: true });
      const full = await autotorrent.run('overlay', 'export', 'Album', join(small, 'copy'));
      assert.equal(full.code, 1);
      assert.match(
        full.stderr,
        /there is no room left for the copy: ENOSPC.*\n {2}Make room, then run the same command again/,
      );
      await exec('mount', ['-o', 'remount,size=200m', small]);
      const whole = (await autotorrent.json('overlay', 'export', 'Album', join(small, 'copy'))) as ExportedJson;
      assert.ok(whole.copied_bytes < whole.bytes);
      assert.equal(await sha1(join(small, 'copy', 'Album', 'big.bin')), createHash('sha1').update(BIG).digest('hex'));
    } finally {
      await exec('umount', [small]);
    }
  });

  it('says so where the mount went away, and goes on when it is back', async () => {
    const to = join(folder, 'lost');
    const { running, go } = await heldExport(to);
    const { info_hash: hash } = ((await autotorrent.json('list')) as EntryJson[])[0] ?? assert.fail();
    const part = join(`${to}.partial`, hash, 'Album', 'big.bin');
    await waitUntil('some of it is copied', async () => (await sizeOf(part)) > 8 * MB);
    await server.stop('SIGKILL');
    await go();
    await waitUntil('it has failed', async () => running.exited() !== undefined);
    assert.match(running.output(), /the mount at .*store went away while it was being read\n {2}Start it again/);
    assert.match(running.exited() ?? '', /ended with 1$/);
    server = await autotorrent.mount();
    const { code, stdout, stderr } = await autotorrent.run('overlay', 'export', 'Album', to);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /by an earlier run/);
    assert.equal(await sha1(join(to, 'Album', 'big.bin')), createHash('sha1').update(BIG).digest('hex'));
  });
});
