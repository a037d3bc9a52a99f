/**
 * Takes files inside archives as candidates: the last resort, for files that nothing else supplied.
 *
 * A release that is packed without compression has all bytes of its members in ranges of its volumes. The index and the
 * archive only know a member's name and size: its parts must be hashed like those of any other candidate.
 */
import type { ArchivedFile, CollectionIndex } from '../collection/index.ts';
import { MemberReader } from '../container/member-extents.ts';
import { setBit } from '../extent/bitfield.ts';
import { refusalCode } from './left-out.ts';
import type { Looker, Refusal, RefusedLook } from './look.ts';
import { samplePieces } from './own-pieces.ts';
import { bytesOfParts, joined, type Part } from './parts.ts';
import type { PieceAnswer, PieceHasher } from './piece-hashing.ts';
import type { FileTask } from './torrent-task.ts';

/** Members tried for one file. */
const MAX_TRIED = 8;
/** Pieces that rule out a wrong member. */
const PROBED_PIECES = 2;

export interface ArchiveDependencies {
  readonly index: CollectionIndex;
  readonly looker: Looker;
  readonly hasher: PieceHasher;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Gives each file a member of an archive that has its bytes, if there is one. It hashes all own pieces of a file, and leaves
 * a gap where they do not agree. A file without a piece of its own takes the first member; its neighbours' pieces judge it.
 */
export async function supplyFromArchives(files: readonly FileTask[], dependencies: ArchiveDependencies): Promise<void> {
  if (files.length === 0) return;
  const { index, looker, hasher, signal } = dependencies;
  const archived = new ArchivedCandidates(index, looker);
  for (let from = 0; from < files.length; from += ASKED_AT_ONCE) {
    const some = files.slice(from, from + ASKED_AT_ONCE);
    const questions = some.map(({ name, file }) => ({ name, size: file.length }));
    for (const [i, found] of (await archived.find(questions, MAX_TRIED)).entries()) {
      const task = some[i];
      for (const member of found) {
        signal?.throwIfAborted();
        if (task === undefined || (await supplies(task, member, archived, hasher))) break;
      }
    }
  }
}

/** Files whose members the index is asked for at once: a torrent may have a million. */
const ASKED_AT_ONCE = 8192;

async function supplies(
  task: FileTask,
  member: ArchivedFile,
  archived: ArchivedCandidates,
  hasher: PieceHasher,
): Promise<boolean> {
  const path = member.archive.path.toString();
  const parts = await archived.partsOf(member);
  if ('refused' in parts) {
    const code = 'code' in parts ? refusalCode(parts.code) : 'changed';
    task.failure = { code, reason: `${path} ${parts.refused}.` };
    task.refuse(member.archive.path, code);
    return false;
  }
  const ask = async (pieces: readonly number[]): Promise<(PieceAnswer | undefined)[]> =>
    await hasher.ask(
      pieces.map((piece) => ({
        torrent: task.torrent,
        piece,
        bytesOf: (_: FileTask, range) => bytesOfParts(parts, range),
      })),
    );
  const probed = await ask(samplePieces(task.own, PROBED_PIECES));
  if (probed.length > 0 && !probed.some(agrees)) {
    task.reject(`${path} holds a file of its size, but its pieces do not agree.`);
    task.refuse(member.archive.path, 'hash-mismatch');
    return false;
  }
  const [first] = parts;
  if (first === undefined) return false;
  const own = samplePieces(task.own, task.own.count);
  for (const [i, answer] of (await ask(own)).entries()) {
    if (!agrees(answer)) continue;
    setBit(task.torrent.verified, own[i] ?? 0);
    task.provenPieces++;
  }
  task.adopt({ ...first.source, mode: 'archive', shift: first.shift });
  task.parts = joined(parts);
  task.judged = true;
  return true;
}

function agrees(answer: PieceAnswer | undefined): boolean {
  return answer?.agrees === true;
}

const NOTHING: ArchivedFile[] = [];

export class ArchivedCandidates {
  readonly #index: CollectionIndex;
  readonly #looker: Looker;
  readonly #reader: MemberReader;

  constructor(index: CollectionIndex, looker: Looker) {
    this.#reader = new MemberReader(looker.access);
    this.#index = index;
    this.#looker = looker;
  }

  /**
   * Finds at most `limit` members for each file, in the files' order: members of its size, those of its name (normalised or
   * not) first. Asks the index once for all.
   */
  async find(
    files: readonly { readonly name: string; readonly size: number }[],
    limit: number,
  ): Promise<ArchivedFile[][]> {
    const answers = await this.#index.archived(
      files.flatMap(({ name, size }) => [
        { name, size, limit },
        { size, limit },
      ]),
    );
    return files.map((_, i) => {
      if (answers[2 * i]?.length === 0 && answers[2 * i + 1]?.length === 0) return NOTHING;
      const places = new Set<string>();
      const found = [...(answers[2 * i] ?? []), ...(answers[2 * i + 1] ?? [])].filter((file) => {
        const place = Buffer.concat([file.archive.path, Buffer.of(0), file.name]).toString('latin1');
        return !places.has(place) && places.add(place);
      });
      return found.slice(0, limit);
    });
  }

  /** Gives parts in order that cover the file exactly, from sources that were looked at; or the reason for none. */
  async partsOf({ archive, name, size }: ArchivedFile): Promise<readonly Part[] | Refusal | RefusedLook> {
    // A file on a mount of autotorrent, or one that changed, is not opened.
    const first = this.#looker.look(archive);
    if ('refused' in first) return first;
    const extents = await this.#reader.memberExtents({ archive: archive.path, name, size });
    if ('refused' in extents) return extents;
    const parts: Part[] = [];
    for (const { source: volume, sourceOffset, offset, length } of extents) {
      const source = this.#looker.look(volume);
      if ('refused' in source) return source;
      parts.push({ offset, length, source, shift: sourceOffset - offset });
    }
    return parts;
  }
}
