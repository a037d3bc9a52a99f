/** Tests the server of the index process inside this process, with a pretended index and clients that misbehave. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ByteWriter } from '../../../src/bytes/byte-codec.ts';
import type { Collection } from '../../../src/collection/collection.ts';
import type { CollectionIndex } from '../../../src/collection/index.ts';
import { AnswerTooLarge } from '../../../src/collection/level/open-index.ts';
import { openCollection, stoppedRebuildsEnd } from '../../../src/collection/open.ts';
import { GivenFoldersFile } from '../../../src/collection/process/owner/given-folders-file.ts';
import { type ServeOptions, serveIndex } from '../../../src/collection/process/owner/serve.ts';
import { FRAME, FrameReader, type FrameType, send } from '../../../src/collection/process/wire/frames.ts';
import { decodeError, encodeRequest, encodeText } from '../../../src/collection/process/wire/messages.ts';
import type { RebuildResult, RebuildWatcher } from '../../../src/collection/writer.ts';
import { silentLogger } from '../../../src/logger.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { NaiveIndex } from '../../match/naive-index.ts';
import { putFiles } from '../contract.ts';

const BUILD = 'a build';
const RESULT: RebuildResult = { folders: 1, files: 2, bytes: 3, releases: 0, reused: 0, skipped: new Map(), away: [] };

describe('the server of the index process', () => {
  let db: string;
  let ending: AbortController;
  let ended: Promise<void>;
  let open: number;
  let answering: (index: NaiveIndex) => CollectionIndex;
  let rebuilding: (watcher: RebuildWatcher) => Promise<RebuildResult>;

  beforeEach(async () => {
    const top = temporaryFolder('index-server');
    db = join(top, 'db');
    mkdirSync(db);
    for (const name of ['LOCK', 'CURRENT']) writeFileSync(join(db, name), '');
    mkdirSync(`${db}.process`, { mode: 0o700 });
    putFiles(join(top, 'disk'), { 'a/one': 1, 'a/two': 2, 'b/one': 1 });
    ending = new AbortController();
    open = 0;
    answering = (index) => index;
    rebuilding = async () => RESULT;
    const collection: ServeOptions['collection'] = {
      async openIndex() {
        const index = answering(new NaiveIndex(join(top, 'disk')));
        open++;
        index.close = async () => void open--;
        return index;
      },
      rebuild: (_, watcher = {}) => rebuilding(watcher),
      settle: async () => {},
      givenFolders: async () => [],
    };
    await new Promise<void>((onListening) => {
      const givenFolders = new GivenFoldersFile(`${db}.folders`, silentLogger);
      const places = { db, folder: `${db}.process`, build: BUILD, idleMs: 60_000, givenFolders };
      ended = serveIndex({ collection, ...places, signal: ending.signal, onListening, logger: silentLogger });
    });
  });
  // It ends with the last connection: one that is left would keep it for ever.
  afterEach(
    async () => {
      ending.abort();
      await ended;
      assert.equal(open, 0, 'every index that was opened is closed');
    },
    { timeout: 60_000 },
  );

  const client = (signal = new AbortController().signal): Collection =>
    openCollection({ db }, { logger: silentLogger, signal, build: BUILD });
  const dial = async (hello = true): Promise<{ socket: Socket; frames: FrameReader }> => {
    const socket = connect(join(`${db}.process`, 'socket'));
    const frames = new FrameReader(socket, 1 << 20);
    if (hello) {
      await send(socket, FRAME.hello, encodeText(BUILD));
      assert.equal((await frames.next())?.type, FRAME.welcome);
    }
    return { socket, frames };
  };
  /** It serves others as before. */
  const serves = async (): Promise<void> => {
    const index = await client().openIndex();
    assert.equal((await index.byName([{ name: 'one', min: 0, max: 9 }]))[0]?.length, 2);
    await index.close();
  };

  it('answers while a rebuild goes on, and hands its progress and log lines to the command that asked', async () => {
    let finish: (result: RebuildResult) => void = () => {};
    const lines: string[] = [];
    const logger = { ...silentLogger, debug: (line: string) => void lines.push(line) };
    rebuilding = async (watcher) => {
      watcher.logger?.debug('skipped 1');
      watcher.onProgress?.({ folders: 1, files: 2, bytes: 3 });
      return await new Promise((resolve) => {
        finish = resolve;
      });
    };
    const progress: unknown[] = [];
    const running = client().rebuild({ disks: [] }, { logger, onProgress: (now) => void progress.push(now) });
    await waitUntil('it goes on', async () => progress.length > 0);
    await serves();
    finish({ ...RESULT, skipped: new Map([['a reason', { count: 7, example: Buffer.from([0xff]) }]]) });
    assert.deepEqual((await running).skipped.get('a reason'), { count: 7, example: Buffer.from([0xff]) });
    assert.deepEqual([progress, lines], [[{ folders: 1, files: 2, bytes: 3 }], ['skipped 1']]);
  });

  it('stops a rebuild whose command was stopped, and one whose command was killed', async () => {
    for (const how of ['stopped', 'killed'] as const) {
      let outcome = '';
      let begun = (): void => {};
      const running = new Promise<void>((resolve) => {
        begun = resolve;
      });
      rebuilding = async ({ signal }) => {
        begun();
        await new Promise((resolve) => signal?.addEventListener('abort', resolve));
        outcome = String(signal?.reason);
        throw signal?.reason;
      };
      if (how === 'stopped') {
        const stop = new AbortController();
        const reason = new Error('Ctrl-C');
        const asked = client().rebuild({ disks: [] }, { signal: stop.signal });
        void running.then(() => stop.abort(reason));
        await assert.rejects(asked, reason);
      } else {
        const { socket } = await dial();
        await send(socket, FRAME.rebuild, encodeRequest({ disks: [] }));
        await running;
        socket.destroy();
      }
      await waitUntil('the rebuild is stopped', async () => outcome !== '');
      assert.match(outcome, /has gone/);
    }
    await serves();
  });

  it('tells when no rebuild goes on that was stopped, and waits for no other', async () => {
    const ends: (() => void)[] = [];
    rebuilding = async () => {
      await new Promise<void>((resolve) => ends.push(resolve));
      return RESULT;
    };
    const ended = async (ms: number): Promise<boolean> =>
      await stoppedRebuildsEnd({ db }, { build: BUILD, signal: AbortSignal.timeout(ms) });
    const other = client().rebuild({ disks: [] });
    await waitUntil('it goes on', async () => ends.length === 1);
    assert.equal(await ended(10_000), true);
    const { socket } = await dial();
    await send(socket, FRAME.rebuild, encodeRequest({ disks: [] }));
    await waitUntil('another one goes on', async () => ends.length === 2);
    socket.destroy();
    assert.equal(await ended(100), false);
    const waiting = ended(60_000);
    ends[1]?.();
    assert.equal(await waiting, true);
    ends[0]?.();
    await other;
  });

  it('lets go of a command at whatever moment that is stopped', async () => {
    rebuilding = async ({ signal }) => {
      if (signal?.aborted === false) await new Promise((resolve) => signal.addEventListener('abort', resolve));
      throw signal?.reason;
    };
    for (let ticks = 0; ticks < 40; ticks++) {
      const stop = new AbortController();
      const reason = new Error('Ctrl-C');
      const asked = assert.rejects(client().rebuild({ disks: [] }, { signal: stop.signal }), reason);
      for (let i = 0; i < ticks; i++) await new Promise(setImmediate);
      stop.abort(reason);
      await asked;
    }
    await serves();
  });

  it('hands an error over as it is', async () => {
    const { socket, frames } = await dial();
    await send(socket, FRAME.open, encodeText('another version'));
    const { code, hint } = decodeError((await frames.next())?.payload ?? Buffer.alloc(0));
    assert.deepEqual([code, hint], ['INDEX', 'run the command again']);
    socket.destroy();
    answering = (index) => Object.assign(index, { byName: () => Promise.reject(new RangeError('a fault')) });
    const index = await client().openIndex();
    await assert.rejects(index.byName([{ name: 'one', min: 0, max: 9 }]), {
      name: 'AutotorrentError',
      code: 'INDEX',
      message: 'the index process failed: a fault',
    });
    assert.equal((await index.bySize([{ min: 0, max: 9, near: 0, limit: 9 }]))[0]?.length, 3);
    await index.close();
  });

  it('asks in smaller batches where the answers of one would not fit into memory', async () => {
    answering = (index) => {
      const byName = index.byName.bind(index);
      return Object.assign(index, {
        byName: (questions: readonly { name: string; min: number; max: number }[]) =>
          questions.length > 1 ? Promise.reject(new AnswerTooLarge(1)) : byName(questions),
      });
    };
    const index = await client().openIndex();
    const found = await index.byName(['one', 'none', 'two'].map((name) => ({ name, min: 0, max: 9 })));
    assert.deepEqual(
      found.map(({ length }) => length),
      [2, 0, 1],
    );
    await index.close();
  });

  it('answers more questions than one request holds, in their order', async () => {
    const index = await client().openIndex();
    const questions = Array.from({ length: 10_000 }, (_, i) => ({
      name: i % 3 === 0 ? 'one' : 'none',
      min: 0,
      max: 9,
    }));
    const found = await index.byName(questions);
    assert.equal(found.length, questions.length);
    assert.ok(found.every(({ length }, i) => length === (i % 3 === 0 ? 2 : 0)));
    await index.close();
  });

  it('removes what a process left behind that was killed before it listened, whatever its id', async () => {
    const folder = `${db}.other`;
    mkdirSync(folder, { mode: 0o700 });
    for (const pid of [1, process.pid]) writeFileSync(join(folder, `socket.${pid}`), '');
    const stop = new AbortController();
    const none = () => Promise.reject(new Error('nobody asks'));
    const collection = { openIndex: none, rebuild: none, settle: async () => {}, givenFolders: async () => [] };
    await serveIndex({
      collection,
      givenFolders: new GivenFoldersFile(`${db}.folders`, silentLogger),
      db,
      folder,
      build: BUILD,
      idleMs: 60_000,
      signal: stop.signal,
      logger: silentLogger,
      onListening() {
        assert.deepEqual(readdirSync(folder), ['socket']);
        stop.abort();
      },
    });
    assert.deepEqual(readdirSync(folder), []);
  });

  it('ends where the database cannot be written to, so that the next process opens it anew', async () => {
    rebuilding = () => Promise.reject(new Error('No space left on device'));
    await assert.rejects(client().rebuild({ disks: [] }), { code: 'INDEX', message: /No space left on device/ });
    await ended;
    assert.deepEqual(readdirSync(`${db}.process`), []);
  });

  const refused: readonly (readonly [string, FrameType, Buffer])[] = [
    ['a message that there is not', 99 as FrameType, Buffer.alloc(0)],
    ['a method that there is not', FRAME.ask, Buffer.from([77, 0])],
    ['a question before the index is open', FRAME.ask, Buffer.from([8, 0])],
    ['more questions than there are bytes', FRAME.ask, Buffer.from([1, 0xff, 0xff, 0xff, 0xff, 0x0f])],
    ['a number that is none', FRAME.ask, Buffer.from([8, 1, ...new Uint8Array(new Float64Array([Number.NaN]).buffer)])],
    ['bytes after the questions', FRAME.ask, Buffer.from([8, 0, 1, 2, 3])],
    ['a rebuild that is cut off', FRAME.rebuild, Buffer.from([2, 9])],
    ['text that is not UTF-8', FRAME.open, Buffer.from([2, 0xff, 0xff])],
  ];
  for (const [what, type, payload] of refused) {
    it(`answers ${what} with an error, and serves others`, async () => {
      const { socket, frames } = await dial();
      await send(socket, type, payload);
      const answer = await frames.next();
      assert.equal(answer?.type, FRAME.error);
      const { code, message } = decodeError(answer.payload);
      assert.equal(code, 'INDEX');
      assert.match(message, /^the index process does not understand: /);
      assert.equal(await frames.next(), undefined);
      await serves();
    });
  }

  it('takes no frame that is longer than a request may be', async () => {
    const { socket, frames } = await dial();
    socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff, FRAME.ask]));
    assert.equal((await frames.next())?.type, FRAME.error);
    await serves();
  });

  it('survives noise', async () => {
    for (let round = 0; round < 30; round++) {
      const { socket, frames } = await dial(round % 2 === 0);
      const out = new ByteWriter();
      out.raw(randomBytes(round * 7));
      socket.write(round % 3 === 0 ? randomBytes(200) : Buffer.from([3, 0, 0, 0, 1 + (round % 12), 1, 2, 3]));
      await send(socket, FRAME.ask, out.finish());
      if (round % 5 !== 0) socket.end();
      else socket.destroy();
      while ((await frames.next()) !== undefined);
    }
    await serves();
  });
});
