/** Tests a command against an index process that answers nonsense. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ByteWriter } from '../../../src/bytes/byte-codec.ts';
import type { Collection } from '../../../src/collection/collection.ts';
import type { CollectionIndex } from '../../../src/collection/index.ts';
import { openCollection } from '../../../src/collection/open.ts';
import {
  FRAME,
  FrameReader,
  type FrameType,
  REQUEST_LIMIT,
  send,
} from '../../../src/collection/process/wire/frames.ts';
import { encodeText } from '../../../src/collection/process/wire/messages.ts';
import { silentLogger } from '../../../src/logger.ts';
import { temporaryFolder } from '../../harness/folder.ts';

type Answer = readonly [FrameType | 99, Uint8Array];

describe('a process that answers nonsense', () => {
  let server: Server;
  let db: string;
  const sockets = new Set<Socket>();
  let answers: Partial<Record<number, Answer>>;

  beforeEach(async () => {
    db = join(temporaryFolder('nonsense'), 'db');
    mkdirSync(db);
    writeFileSync(join(db, 'CURRENT'), '');
    mkdirSync(`${db}.process`, { mode: 0o700 });
    answers = { [FRAME.hello]: [FRAME.welcome, Buffer.alloc(0)], [FRAME.open]: [FRAME.opened, encodeText('1')] };
    server = createServer((socket) => void answer(socket));
    await new Promise<void>((resolve) => void server.listen(join(`${db}.process`, 'socket'), resolve));
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  async function answer(socket: Socket): Promise<void> {
    sockets.add(socket);
    const frames = new FrameReader(socket, REQUEST_LIMIT);
    for (let frame = await frames.next(); frame !== undefined; frame = await frames.next()) {
      const [type, payload] = answers[frame.type] ?? [99, Buffer.alloc(0)];
      await send(socket, type as FrameType, payload);
    }
  }

  const collection = (): Collection =>
    openCollection({ db }, { logger: silentLogger, signal: new AbortController().signal });
  const bytes = (write: (out: ByteWriter) => void): Buffer => {
    const out = new ByteWriter();
    write(out);
    return out.finish();
  };
  const nonsense = { code: 'INDEX', message: /^the index process answers nonsense: / };
  const deep = bytes((out) => {
    out.integer(1);
    out.double(7);
    for (const text of ['/a', 'a']) out.text(text);
    out.integer(1);
    out.integer(7);
    out.text('/a/file');
    for (const number of [4, 0, 0, 5]) out.integer(number);
  });

  const tree = bytes((out) => {
    out.integer(1);
    out.double(7);
    for (const text of ['/a', 'a']) out.text(text);
    out.integer(0);
  });

  const cases: readonly (readonly [string, Answer])[] = [
    ['another message', [FRAME.rebuilt, tree]],
    ['a message that there is not', [99, Buffer.alloc(0)]],
    ['no answers', [FRAME.answers, Buffer.from([0])]],
    ['more answers than questions', [FRAME.answers, Buffer.from([9])]],
    ['bytes after the answers', [FRAME.answers, Buffer.concat([tree, Buffer.from([0])])]],
    ['an answer that is cut off', [FRAME.answers, Buffer.from([1, 3, 1])]],
    ['a file that is deeper than its path', [FRAME.answers, deep]],
  ];
  for (const [what, reply] of cases) {
    it(`is told by ${what}`, async () => {
      const index: CollectionIndex = await collection().openIndex();
      answers[FRAME.ask] = reply;
      await assert.rejects(index.trees([7]), nonsense);
      await index.close();
    });
  }

  it('is told by another message where an index was to be opened, or a rebuild to be watched', async () => {
    answers[FRAME.open] = [FRAME.answers, encodeText('1')];
    await assert.rejects(collection().openIndex(), nonsense);
    answers[FRAME.rebuild] = [FRAME.answers, Buffer.from([0])];
    await assert.rejects(collection().rebuild({ disks: [] }), nonsense);
  });
});
