/** Locates the bytes of a member of an archive as it is now: the index only knows which members there were. */
import { errnoOf, messageOf } from '../errors.ts';
import { lookAtSource } from '../source/open-source.ts';
import type { SourceAccess } from '../source/source-access.ts';
import { ArchiveFiles, type VolumeFile, volumesAfter } from './archive-files.ts';
import type { Archive, Part, Unusable } from './container.ts';

export interface MemberQuestion {
  /** The absolute path of the archive's first volume. */
  readonly archive: Buffer;
  /** The member's name as the archive has it, with its folders. */
  readonly name: Buffer;
  readonly size: number;
}

/** `[offset, offset + length)` of the member is `[sourceOffset, sourceOffset + length)` of a volume. */
export interface MemberExtent {
  /** The volume, with its size of now. The caller still has to look at it like at any other source. */
  readonly source: VolumeFile;
  readonly sourceOffset: number;
  readonly offset: number;
  readonly length: number;
}

/** Why there are none: a predicate, after the archive's path. */
export interface NoExtents {
  readonly refused: string;
}

const REASONS: Readonly<Record<Unusable, string>> = {
  compressed: 'holds it compressed',
  encrypted: 'holds it encrypted',
  incomplete: 'lacks a volume with a part of it',
  'not a file': 'holds a folder or a link of this name',
  damaged: 'is damaged',
};

/** Archives that are remembered: many files of one torrent may lie in one archive. */
const KEPT = 8;

interface Opened {
  readonly files: ArchiveFiles;
  readonly archive: Archive | undefined;
}

export class MemberReader {
  /** By path, as latin1, in the order of use: the one used last comes last. */
  readonly #opened = new Map<string, Opened>();
  readonly #access: SourceAccess;

  constructor(access: SourceAccess) {
    this.#access = access;
  }

  /** Gives extents in order, which cover the member exactly. Its system calls are synchronous, a few for each volume. */
  async memberExtents(question: MemberQuestion): Promise<readonly MemberExtent[] | NoExtents> {
    try {
      const { files, archive } = this.#open(question.archive);
      const member = archive?.members.find(({ name, size }) => size === question.size && name.equals(question.name));
      if (archive === undefined || member === undefined) return { refused: 'does not hold it any more' };
      try {
        const parts = archive.locate(member);
        return typeof parts === 'string' ? { refused: REASONS[parts] } : extentsOf(parts, files.files);
      } finally {
        files.close();
      }
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      return { refused: `cannot be read: ${messageOf(error)}` };
    }
  }

  #open(path: Buffer): Opened {
    const key = path.toString('latin1');
    const opened = this.#opened.get(key) ?? openArchive(key, this.#access);
    this.#opened.delete(key);
    this.#opened.set(key, opened);
    for (const oldest of this.#opened.keys()) {
      if (this.#opened.size <= KEPT) break;
      this.#opened.delete(oldest);
    }
    return opened;
  }
}

/** `path` is a byte string. */
function openArchive(path: string, access: SourceAccess): Opened {
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  const lookAt = (name: string): VolumeFile | undefined => {
    const file = Buffer.from(folder + name, 'latin1');
    const looked = lookAtSource({ path: file }, access);
    return looked.state === 'as recorded' ? { path: file, size: looked.identity.size } : undefined;
  };
  const firstName = path.slice(folder.length);
  // A file that is missing counts as an archive without members.
  const first = lookAt(firstName) ?? { path: Buffer.from(path, 'latin1'), size: 0 };
  const files = new ArchiveFiles(
    first,
    () => {
      const further: VolumeFile[] = [];
      volumesAfter(firstName, (name) => {
        const found = lookAt(name);
        if (found !== undefined) further.push(found);
        return found !== undefined;
      });
      return further;
    },
    access,
  );
  try {
    return { files, archive: first.size === 0 ? undefined : files.archive() };
  } finally {
    files.close();
  }
}

function extentsOf(parts: readonly Part[], files: readonly VolumeFile[]): MemberExtent[] {
  let end = 0;
  return parts
    .filter(({ length }) => length > 0)
    .map(({ volume, offset: sourceOffset, length }) => {
      const source = files[volume];
      if (source === undefined) throw new Error(`there is no volume ${volume}`);
      const offset = end;
      end += length;
      return { source, sourceOffset, offset, length };
    });
}
