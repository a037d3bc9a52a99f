/**
 * Files inside archives as candidates: the last resort, for files that nothing else supplied.
 *
 * A release that lies packed, stored, has every byte of what is in it, in ranges of its volumes. What the index and the
 * archive say of a member is no more than a name and a size: its parts are to be hashed like any other candidate's.
 */
import type { ArchivedFile, CollectionIndex } from '../collection/collection.ts';
import { MemberReader } from '../container/member-extents.ts';
import type { Looker, Refusal, Source } from './look.ts';

/** `[offset, offset + length)` of the wanted file lies `shift` further on in a volume. */
export interface ArchivedPart {
  readonly offset: number;
  readonly length: number;
  readonly source: Source;
  readonly shift: number;
}

export class ArchivedCandidates {
  readonly #index: CollectionIndex;
  readonly #looker: Looker;
  readonly #reader = new MemberReader();

  constructor(index: CollectionIndex, looker: Looker) {
    this.#index = index;
    this.#looker = looker;
  }

  /**
   * For each file, in their order, at most `limit` members of its size: those of its name (normalised or not) first. One
   * batch for all.
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
      const places = new Set<string>();
      const found = [...(answers[2 * i] ?? []), ...(answers[2 * i + 1] ?? [])].filter((file) => {
        const place = Buffer.concat([file.archive.path, Buffer.of(0), file.name]).toString('latin1');
        return !places.has(place) && places.add(place);
      });
      return found.slice(0, limit);
    });
  }

  /** Parts in order that cover the file exactly, their sources looked at; or why there are none. */
  async partsOf({ archive, name, size }: ArchivedFile): Promise<readonly ArchivedPart[] | Refusal> {
    // The mount of our own server, and what has changed, is not opened.
    const first = this.#looker.look(archive);
    if ('refused' in first) return first;
    const extents = await this.#reader.memberExtents({ archive: archive.path, name, size });
    if ('refused' in extents) return extents;
    const parts: ArchivedPart[] = [];
    for (const { source: volume, sourceOffset, offset, length } of extents) {
      const source = this.#looker.look(volume);
      if ('refused' in source) return source;
      parts.push({ offset, length, source, shift: sourceOffset - offset });
    }
    return parts;
  }
}
