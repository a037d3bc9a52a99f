/**
 * A thread that reads and hashes pieces, two at a time where two are asked for. It opens nothing: the server gives it
 * descriptors, and keeps them open meanwhile.
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
import { type DigestPair, loadDigestPair } from '../../native/digest-pair.ts';
import { readBytes, readMemory } from '../../native/read-memory.ts';
import { identityOf, isSame } from '../../source/identity.ts';
import type { Answer, Answered, Asked, Layout, Question, Segment, Step, StepAnswer } from './messages.ts';
import { CHUNK_BYTES, PieceHashing } from './piece-hashing.ts';
import { sha1OfTwo } from './piece-pair.ts';

/** Bytes of .torrents that are remembered parsed. The newest is remembered however large it is. */
const REMEMBERED_BYTES = 32 * 1024 * 1024;

/** A file is shorter than its segment. */
class EndOfFile extends Error {}

/** Parsed torrents by info hash, the longest unused first. */
const torrents = new Map<string, Metainfo>();
const sessions = new Map<number, PieceHashing>();
let scratch: Buffer | undefined;
/** Null: there is none. */
let pair: DigestPair | null | undefined;

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
  const hashing = sessions.get(step.session) ?? begun(step);
  if (hashing === undefined) return { changed: [], needsMetainfo: true };
  const reading = new StepReading(step, hashing);
  while (reading.read());
  return reading.answer();
}

/** Two whole pieces at once. Undefined if they cannot be hashed together; nothing was read then. */
function steppedTogether(first: Step, second: Step): [StepAnswer, StepAnswer] | undefined {
  const [one, other] = [wholePiece(first), wholePiece(second)];
  if (one === undefined || other === undefined) return undefined;
  pair ??= loadDigestPair('sha1') ?? null;
  if (pair === null) return undefined;
  const readings = [new StepReading(first, one), new StepReading(second, other)] as const;
  for (const hashing of [one, other]) hashing.leaveSha1();
  const digests = sha1OfTwo(pair, [
    { bytes: () => one.bytes, read: () => readings[0].read() },
    { bytes: () => other.bytes, read: () => readings[1].read() },
  ]);
  return [readings[0].answer(digests[0]), readings[1].answer(digests[1])];
}

/** A piece that is read in this one step, and has a SHA-1 alone. */
function wholePiece(step: Step): PieceHashing | undefined {
  if (!step.last || sessions.has(step.session)) return undefined;
  const hashing = begun(step);
  return hashing?.isPlain === true ? hashing : undefined;
}

/** Reads the segments of a step, a chunk at a time. */
class StepReading {
  readonly #step: Step;
  readonly #hashing: PieceHashing;
  readonly #changed: number[] = [];
  #failed: StepAnswer['failed'];
  #segment = 0;
  /** Bytes of the segment that were read. */
  #done = 0;
  #isSame = true;

  constructor(step: Step, hashing: PieceHashing) {
    this.#step = step;
    this.#hashing = hashing;
  }

  /** Reads on. False at the end, or after a failure. */
  read(): boolean {
    const segment = this.#step.segments[this.#segment];
    if (segment === undefined || this.#failed !== undefined) return false;
    try {
      this.#readOf(segment);
      return true;
    } catch (error) {
      const isEnd = error instanceof EndOfFile;
      this.#failed = { segment: this.#segment, message: messageOf(error), isEnd };
      return false;
    }
  }

  #readOf({ fd, offset, length, standing }: Segment): void {
    if (this.#done === 0) this.#isSame = fd === undefined || isStill(fd, standing);
    const room = this.#hashing.room(length - this.#done);
    if (fd === undefined) room.fill(0);
    const bytes = fd === undefined ? room.length : readSync(fd, room, 0, room.length, offset + this.#done);
    if (bytes === 0) throw new EndOfFile('it ends too early');
    this.#hashing.took(bytes);
    this.#done += bytes;
    if (this.#done < length) return;
    // A file counts only if it was the same before the first and after the last byte.
    if (!this.#isSame || (fd !== undefined && !isStill(fd, standing))) this.#changed.push(this.#segment);
    this.#segment++;
    this.#done = 0;
  }

  answer(sha1?: Buffer): StepAnswer {
    const [changed, failed] = [this.#changed, this.#failed];
    const { session, last } = this.#step;
    if (failed !== undefined || last) sessions.delete(session);
    else sessions.set(session, this.#hashing);
    if (failed !== undefined) return { changed, failed };
    return last ? { changed, agrees: this.#hashing.agrees(sha1) } : { changed };
  }
}

function begun({ torrent, piece, length, buffer }: Step): PieceHashing | undefined {
  const parsed = torrentOf(torrent, undefined);
  if (parsed === undefined) return undefined;
  scratch ??= readMemory(CHUNK_BYTES);
  const into = buffer === undefined ? scratch : readBytes(buffer, length);
  return new PieceHashing(pieceHashes(parsed, piece), length, into, buffer !== undefined);
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

function answered(question: Question): Answer {
  try {
    return answer(question);
  } catch (error) {
    return { error: messageOf(error) };
  }
}

function answeredTogether(first: Step, second: Step): [Answer, Answer] | undefined {
  try {
    const steps = steppedTogether(first, second);
    return steps === undefined ? undefined : [{ step: steps[0] }, { step: steps[1] }];
  } catch (error) {
    return [{ error: messageOf(error) }, { error: messageOf(error) }];
  }
}

port.on('message', (asked: readonly Asked[]) => {
  for (let i = 0; i < asked.length; ) {
    const [one, other] = [asked[i]!, asked[i + 1]];
    const together =
      one.question.kind === 'step' && other?.question.kind === 'step'
        ? answeredTogether(one.question, other.question)
        : undefined;
    const answers = together ?? [answered(one.question)];
    port.postMessage(answers.map((answer, at): Answered => ({ id: asked[i + at]!.id, answer })));
    i += answers.length;
  }
});
