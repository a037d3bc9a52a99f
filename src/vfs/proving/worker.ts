/**
 * A thread that reads and hashes pieces. It opens nothing: the server gives it descriptors, and keeps them open meanwhile.
 *
 * A file counts only if it was the same before the first and after the last byte that was read of it: the thread says
 * which ones were not. The bytes themselves are right if the hashes agree, whatever happened to their files.
 */
import { fstatSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { messageOf } from '../../errors.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import { parseMetainfo } from '../../metainfo/parse.ts';
import { pieceHashes } from '../../metainfo/piece-hashes.ts';
import { identityOf, isSame } from '../../source/identity.ts';
import type { Answer, Layout, Question, Segment, Step, StepAnswer } from './messages.ts';
import { CHUNK_BYTES, PieceHashing } from './piece-hashing.ts';

/** Bytes of .torrents that are remembered parsed. The newest is remembered however large it is. */
const REMEMBERED_BYTES = 32 * 1024 * 1024;

/** A file is shorter than its segment. */
class EndOfFile extends Error {}

/** Parsed torrents by info hash, the longest unused first. */
const torrents = new Map<string, Metainfo>();
const sessions = new Map<number, PieceHashing>();
let scratch: Buffer | undefined;

function torrentOf(torrent: string, raw: Uint8Array | undefined): Metainfo | undefined {
  const known = torrents.get(torrent) ?? (raw === undefined ? undefined : parseMetainfo(Buffer.from(raw)));
  if (known === undefined) return undefined;
  torrents.delete(torrent);
  torrents.set(torrent, known);
  let bytes = 0;
  for (const { raw } of torrents.values()) bytes += raw.length;
  for (const [oldest, { raw }] of torrents) {
    if (bytes <= REMEMBERED_BYTES || torrents.size === 1) break;
    bytes -= raw.length;
    torrents.delete(oldest);
  }
  return known;
}

function layoutOf({ pieceLength, pieceCount, files }: Metainfo): Layout {
  return {
    pieceLength,
    pieceCount,
    offsets: Float64Array.from(files, ({ offset }) => offset),
    lengths: Float64Array.from(files, ({ length }) => length),
  };
}

function stepped(step: Step): StepAnswer {
  const { session, segments, last } = step;
  const hashing = sessions.get(session) ?? begun(step);
  if (hashing === undefined) return { changed: [], needsMetainfo: true };
  const changed: number[] = [];
  for (const [i, segment] of segments.entries()) {
    try {
      if (!read(segment, hashing)) changed.push(i);
    } catch (error) {
      sessions.delete(session);
      const isEnd = error instanceof EndOfFile;
      return { changed, failed: { segment: i, message: messageOf(error), isEnd } };
    }
  }
  if (!last) {
    sessions.set(session, hashing);
    return { changed };
  }
  sessions.delete(session);
  return { changed, agrees: hashing.agrees() };
}

function begun({ torrent, metainfo, piece, length, buffer }: Step): PieceHashing | undefined {
  const parsed = torrentOf(torrent, metainfo);
  if (parsed === undefined) return undefined;
  scratch ??= Buffer.alloc(CHUNK_BYTES);
  const into = buffer === undefined ? scratch : Buffer.from(buffer, 0, length);
  return new PieceHashing(pieceHashes(parsed, piece), length, into, buffer !== undefined);
}

/** Reads a segment. False if its file was changed meanwhile. @throws EndOfFile, and what read(2) fails with */
function read({ fd, offset, length, standing }: Segment, hashing: PieceHashing): boolean {
  if (fd === undefined) {
    for (let done = 0; done < length; ) {
      const room = hashing.room(length - done);
      room.fill(0);
      hashing.took(room.length);
      done += room.length;
    }
    return true;
  }
  let same = isStill(fd, standing);
  for (let done = 0; done < length; ) {
    const room = hashing.room(length - done);
    const bytes = readSync(fd, room, 0, room.length, offset + done);
    if (bytes === 0) throw new EndOfFile('it ends too early');
    hashing.took(bytes);
    done += bytes;
  }
  same &&= isStill(fd, standing);
  return same;
}

function isStill(fd: number, standing: Segment['standing']): boolean {
  return standing === undefined || isSame(standing, identityOf(fstatSync(fd, { bigint: true })));
}

function answer(question: Question): Answer {
  if (question.kind === 'step') return { step: stepped(question) };
  if (question.kind === 'abandon') {
    sessions.delete(question.session);
    return { step: { changed: [] } };
  }
  const parsed = torrentOf(question.torrent, question.metainfo);
  if (parsed === undefined) throw new Error('the torrent is missing');
  return { layout: layoutOf(parsed) };
}

const port = parentPort;
if (port === null) throw new Error('this file runs as a worker thread only');
port.on('message', (question: Question) => {
  let reply: Answer;
  try {
    reply = answer(question);
  } catch (error) {
    reply = { error: messageOf(error) };
  }
  port.postMessage(reply);
});
