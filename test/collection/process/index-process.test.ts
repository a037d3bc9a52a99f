/** The process that owns an index: how it starts, ends, and is lost. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Level } from 'level';
import { findFolder } from '../../../src/collection/process/client/folder.ts';
import { type Database, openLevel } from '../../../src/leveldb/open.ts';
import { silentLogger } from '../../../src/logger.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { namesOf, ProcessVolume } from './process-volume.ts';

describe('the index process', () => {
  let volume: ProcessVolume;
  beforeEach(() => {
    process.env['AUTOTORRENT_INDEX_IDLE_MS'] = '20000';
    volume = new ProcessVolume();
    volume.put({ 'a/one': 1, 'b/two': 2 });
  });
  afterEach(() => volume.remove());

  it('is one, however many ask for it at once, and is for its user alone', async () => {
    await volume.rebuild();
    process.kill(volume.pid(), 'SIGKILL');
    await volume.ended();
    const indexes = await Promise.all(Array.from({ length: 4 }, () => volume.open().openIndex()));
    for (const index of indexes) assert.deepEqual(await namesOf(index), ['one', 'two']);
    await waitUntil('the others have ended', async () => volume.pids().length === 1);
    assert.equal(statSync(volume.folder).mode & 0o777, 0o700);
    assert.equal(lstatSync(join(volume.folder, 'socket')).mode & 0o777, 0o600);
    for (const index of indexes) await index.close();
  });

  it('has no descriptors but its own, and no folder to keep busy', async () => {
    const held = writeHandle(join(volume.top, 'held'));
    await volume.rebuild();
    const pid = volume.pid();
    assert.equal(readlinkSync(`/proc/${pid}/cwd`), '/');
    const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkOrNothing(`/proc/${pid}/fd/${fd}`));
    const paths = open.filter((path) => path.startsWith('/') && path !== '/dev/null');
    assert.deepEqual(
      paths.filter((path) => !path.startsWith(volume.db)),
      [],
    );
    held.close();
  });

  it('takes no secrets of the environment of the command that started it', async () => {
    process.env['A_SECRET'] = 'of the command';
    try {
      await volume.rebuild();
      const variables = readFileSync(`/proc/${volume.pid()}/environ`, 'utf8');
      assert.match(variables, /AUTOTORRENT_INDEX_IDLE_MS=20000/);
      assert.doesNotMatch(variables, /A_SECRET/);
    } finally {
      delete process.env['A_SECRET'];
    }
  });

  it('ends when nobody has asked for a while, and removes its socket', async () => {
    process.env['AUTOTORRENT_INDEX_IDLE_MS'] = '300';
    await volume.rebuild();
    await volume.ended();
    assert.deepEqual(readdirSync(volume.folder), ['log']);
    const index = await volume.open().openIndex();
    assert.deepEqual(await namesOf(index), ['one', 'two']);
    await index.close();
  });

  it('ends at once when its database is removed or replaced, and answers from the one that is there', async () => {
    await volume.rebuild();
    renameSync(volume.db, `${volume.db}.away`);
    await volume.ended();
    await assert.rejects(volume.open().openIndex(), { code: 'INDEX', message: /does not exist yet/ });
    volume.put({ 'c/three': 3 });
    await volume.rebuild();
    rmSync(volume.db, { recursive: true });
    cpSync(`${volume.db}.away`, volume.db, { recursive: true });
    const index = await volume.open().openIndex();
    assert.deepEqual(await namesOf(index), ['one', 'two']);
    await index.close();
  });

  it('ends at once when its socket is removed', async () => {
    await volume.rebuild();
    rmSync(volume.folder, { recursive: true });
    await volume.ended();
  });

  it('is replaced where it was killed between two questions', async () => {
    await volume.rebuild();
    const index = await volume.open().openIndex();
    const [[folder] = []] = await index.folders([Buffer.from('b')]);
    process.kill(volume.pid(), 'SIGKILL');
    // The socket that it left behind is in nobody's way.
    assert.ok(existsSync(join(volume.folder, 'socket')));
    const [tree] = await index.trees([folder?.id ?? -1]);
    assert.deepEqual(
      tree?.files.map(({ file }) => file.name.toString()),
      ['two'],
    );
    await index.close();
  });

  it('is replaced where it was killed while it answered', async () => {
    await volume.rebuild();
    const index = await volume.open().openIndex();
    const pid = volume.pid();
    process.kill(pid, 'SIGSTOP');
    const answers = Promise.all([namesOf(index), namesOf(index)]);
    await sleep(50);
    process.kill(pid, 'SIGKILL');
    assert.deepEqual(await answers, [
      ['one', 'two'],
      ['one', 'two'],
    ]);
    assert.notEqual(volume.pid(), pid);
    await index.close();
  });

  it('says so where the collection was rebuilt after it was killed', async () => {
    await volume.rebuild();
    const index = await volume.open().openIndex();
    process.kill(volume.pid(), 'SIGKILL');
    await volume.ended();
    volume.put({ 'c/three': 3 });
    await volume.rebuild();
    await assert.rejects(index.trees([0]), { code: 'INDEX', message: /rebuilt/, hint: 'run the command again' });
    await index.close();
  });

  it('keeps the old index where it is killed in the middle of a rebuild, which is said', async () => {
    await volume.rebuild();
    volume.put(Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`d${i}/file ${i}`, i])));
    const running = volume.open().rebuild(
      { disks: [volume.disk], full: true },
      {
        onProgress() {
          for (const pid of volume.pids()) process.kill(pid, 'SIGKILL');
        },
      },
    );
    await assert.rejects(running, { code: 'INDEX', message: /ended in the middle of the rebuild/ });
    const index = await volume.open().openIndex();
    assert.deepEqual(await namesOf(index), ['one', 'two']);
    await index.close();
    assert.equal((await volume.rebuild()).files, 1002);
  });

  it('stops a rebuild whose command has gone', async () => {
    await volume.rebuild();
    volume.put(Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`d${i}/file ${i}`, i])));
    const stop = new AbortController();
    const reason = new Error('Ctrl-C');
    const asked = { signal: stop.signal, onProgress: () => stop.abort(reason) };
    await assert.rejects(volume.open().rebuild({ disks: [volume.disk] }, asked), reason);
    const index = await volume.open().openIndex();
    assert.deepEqual(await namesOf(index), ['one', 'two']);
    await index.close();
  });

  it('of another build ends when its clients have gone, and loses nothing', async () => {
    await volume.rebuild();
    const old = volume.pid();
    const index = await volume.open().openIndex();
    const lines: string[] = [];
    const logger = { ...silentLogger, info: (line: string) => void lines.push(line) };
    const other = volume.open({ build: 'another', logger }).openIndex();
    await waitUntil('the wait is told', async () => lines.length > 0);
    assert.match(
      lines[0] ?? '',
      new RegExp(`^waiting for the collection index, which process ${old} \\(.*index-process`),
    );
    assert.deepEqual(await namesOf(index), ['one', 'two']);
    await index.close();
    const opened = await other;
    assert.deepEqual(await namesOf(opened), ['one', 'two']);
    assert.notEqual(volume.pid(), old);
    await opened.close();
  });

  it('is as good as none where something else listens that ends its connections', async () => {
    await volume.rebuild();
    process.kill(volume.pid(), 'SIGKILL');
    await volume.ended();
    rmSync(join(volume.folder, 'socket'));
    const other = createServer((socket) => socket.destroy()).listen(join(volume.folder, 'socket'));
    const index = await volume.open().openIndex();
    assert.deepEqual(await namesOf(index), ['one', 'two']);
    await index.close();
    other.close();
  });

  it('works where the path of its database is longer than a socket may have', async () => {
    const long = new ProcessVolume(`${'long '.repeat(40)}/db`);
    mkdirSync(join(long.db, '..'));
    long.put({ 'a/one': 1 });
    assert.equal((await long.rebuild()).files, 1);
    const index = await long.open().openIndex();
    assert.deepEqual(await namesOf(index), ['one']);
    assert.ok(existsSync(join(long.folder, 'socket')));
    await index.close();
    await long.remove();
  });

  it('waits for a process that opened the database itself, and says which', async () => {
    await volume.rebuild();
    process.kill(volume.pid(), 'SIGKILL');
    await volume.ended();
    const level = await openHere(volume.db);
    const lines: string[] = [];
    const logger = { ...silentLogger, info: (line: string) => void lines.push(line) };
    const opened = volume.open({ logger }).openIndex();
    await waitUntil('the wait is told', async () => lines.length > 0);
    assert.match(lines[0] ?? '', new RegExp(`which process ${process.pid} \\(`));
    await level.close();
    await (await opened).close();
  });

  it('that hangs is not waited for by a command that is stopped', async () => {
    await volume.rebuild();
    const pid = volume.pid();
    process.kill(pid, 'SIGSTOP');
    try {
      const stop = new AbortController();
      const reason = new Error('Ctrl-C');
      const opened = volume.open({ signal: stop.signal }).openIndex();
      setTimeout(() => stop.abort(reason), 100);
      const began = performance.now();
      await assert.rejects(opened, reason);
      assert.ok(performance.now() - began < 20_000, 'it does not wait for the answer to its hello');
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });

  it('is not waited for by a command that was stopped', async () => {
    await volume.rebuild();
    process.kill(volume.pid(), 'SIGKILL');
    await volume.ended();
    const level = await openHere(volume.db);
    const stop = new AbortController();
    const reason = new Error('Ctrl-C');
    const logger = { ...silentLogger, info: () => stop.abort(reason) };
    await assert.rejects(volume.open({ logger, signal: stop.signal }).openIndex(), reason);
    await level.close();
  });
});

describe('the errors of a database, through the index process', () => {
  let volume: ProcessVolume;
  beforeEach(() => {
    process.env['AUTOTORRENT_INDEX_IDLE_MS'] = '20000';
    volume = new ProcessVolume();
    volume.put({ 'a/one': 1 });
  });
  afterEach(() => volume.remove());

  it('missing: no process is started, and nothing is made', async () => {
    await assert.rejects(volume.open().openIndex(), {
      code: 'INDEX',
      message: `the collection index (${volume.db}) does not exist yet`,
      hint: 'make it: autotorrent rebuild',
    });
    assert.deepEqual(readdirSync(volume.top), ['disk']);
  });

  it('not a folder', async () => {
    writeFileSync(volume.db, 'a file');
    await assert.rejects(volume.rebuild(), {
      code: 'INDEX',
      message: /^the collection index cannot be made: ENOTDIR/,
      hint: 'set db to a folder that this user may write to',
    });
  });

  it('damaged', async () => {
    await volume.rebuild();
    process.kill(volume.pid(), 'SIGKILL');
    await volume.ended();
    writeFileSync(join(volume.db, 'CURRENT'), 'nonsense\n');
    await assert.rejects(volume.open().openIndex(), {
      code: 'INDEX',
      message: /^the collection index \(.*\) cannot be opened: /,
      hint: 'make it anew: move it away, then autotorrent rebuild',
    });
  });

  it('of another format, which a full rebuild replaces', async () => {
    const level = new Level<Buffer>(volume.db, { keyEncoding: 'buffer' });
    await level.put(Buffer.from('c\0\0\0\0\0\0\0\0\0', 'latin1'), '{"format":"1-LE"}');
    await level.close();
    const other = { code: 'INDEX', message: /another version \(1-LE/, hint: 'run `autotorrent rebuild --full`' };
    await assert.rejects(volume.open().openIndex(), other);
    await assert.rejects(volume.rebuild(), other);
    assert.equal((await volume.open().rebuild({ disks: [volume.disk], full: true })).files, 1);
  });

  it('of something else', async () => {
    const level = new Level(volume.db);
    await level.put('a key', 'of another program');
    await level.close();
    const foreign = { code: 'INDEX', message: 'the database holds something else than a collection index' };
    await assert.rejects(volume.open().openIndex(), foreign);
    await assert.rejects(volume.rebuild(), foreign);
  });

  it('empty', async () => {
    await new Level(volume.db).close();
    const level = new Level(volume.db);
    await level.open();
    await level.close();
    await assert.rejects(volume.open().openIndex(), { message: 'there is no collection index yet' });
  });

  it('no folder beside it: the socket lies in one of the user, and the same one for all', async () => {
    const runtime = join(volume.top, 'runtime');
    const before = process.env['XDG_RUNTIME_DIR'];
    process.env['XDG_RUNTIME_DIR'] = runtime;
    mkdirSync(runtime, { mode: 0o700 });
    try {
      writeFileSync(volume.folder, 'in the way');
      assert.equal((await volume.rebuild()).files, 1);
      assert.equal(statSync(runtime).mode & 0o777, 0o700);
      assert.deepEqual(
        readdirSync(runtime),
        readdirSync(runtime).filter((name) => /^index-[0-9a-f]{16}$/.test(name)),
      );
      const pid = volume.pid();
      const index = await volume.open().openIndex();
      assert.deepEqual(await namesOf(index), ['one']);
      assert.equal(volume.pid(), pid);
      await index.close();
    } finally {
      if (before === undefined) delete process.env['XDG_RUNTIME_DIR'];
      else process.env['XDG_RUNTIME_DIR'] = before;
    }
  });

  it('a runtime folder that others can enter is left as it is, and not used', async () => {
    const runtime = join(volume.top, 'runtime');
    mkdirSync(runtime);
    chmodSync(runtime, 0o755);
    const before = process.env['TMPDIR'];
    process.env['TMPDIR'] = volume.top;
    try {
      writeFileSync(volume.folder, 'in the way');
      const found = await findFolder(volume.db, true, { XDG_RUNTIME_DIR: runtime });
      assert.equal(dirname(found ?? ''), join(volume.top, `autotorrent-${process.getuid?.() ?? 0}`));
      assert.deepEqual(readdirSync(runtime), []);
      assert.equal(statSync(runtime).mode & 0o777, 0o755);
    } finally {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
    }
  });

  it('nobody is asked but this user and root, and what lets others in is closed', async () => {
    mkdirSync(volume.folder, { mode: 0o777 });
    chmodSync(volume.folder, 0o777);
    await volume.rebuild();
    assert.equal(statSync(volume.folder).mode & 0o777, 0o700);
    process.kill(volume.pid(), 'SIGKILL');
    await volume.ended();
    rmSync(join(volume.folder, 'socket'));
    writeFileSync(join(volume.folder, 'socket'), 'no socket');
    await assert.rejects(volume.open().openIndex(), { code: 'INDEX', message: /is no socket of this user's/ });
  });
});

/** Waits for the lock: the kernel lets go of it a moment after a killed process has lost its command line. */
async function openHere(db: string): Promise<Database> {
  return await openLevel(db, { code: 'INDEX', what: 'the index', create: false, waitMs: 10_000 });
}

function writeHandle(path: string): { close(): void } {
  const server = createServer().listen(path);
  return { close: () => void server.close() };
}

function readlinkOrNothing(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
