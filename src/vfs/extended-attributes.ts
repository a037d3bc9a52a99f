/**
 * Extended attributes that say what a file of the mount is made of (`docs/attributes.md`). They are read-only, and in no list:
 * `cp -a` and `rsync -X` would give them to copies, of which they are not true, and with them paths of the user's disks to
 * whoever may read a copy.
 */
import { PosixError } from '../errors.ts';
import { hasBit } from '../extent/bitfield.ts';
import { type Extent, GAP, OVERLAY, ZEROS } from '../extent/extent.ts';
import type { BrokenSource } from '../source/broken-sources.ts';
import type { ConditionState } from '../source/condition.ts';
import type { Inode } from '../store/records/record.ts';
import type { Store } from '../store/store.ts';
import type { OpenInode } from './open-file.ts';
import type { OpenFiles } from './open-files.ts';
import type { Caller, MaybePromise } from './operations.ts';

const PREFIX = 'user.autotorrent.';
type Attribute = 'source' | 'pieces' | 'state';
const ATTRIBUTES: ReadonlySet<string> = new Set<Attribute>(['source', 'pieces', 'state']);

/** XATTR_SIZE_MAX: the kernel takes no longer value. */
const LONGEST_VALUE = 65_536;
/** Room for the last line of a value that is cut. */
const CUT_ROOM = 64;
const LINE_FEED = 0x0a;
const BACKSLASH = 0x5c;
const WITHOUT_SOURCE: Readonly<Record<number, string>> = { [ZEROS]: 'zeros', [GAP]: 'gap', [OVERLAY]: 'written' };
/** The worst first. */
const WORDS = ['broken', 'lost', 'healing', 'waiting', 'doubted', 'gap', 'overlaid'] as const;
type Word = (typeof WORDS)[number];
/** Each state of a source is a word of its own. */
const wordOf = (state: ConditionState): Word => state;

export interface ExtendedAttributesParts {
  readonly store: Store;
  readonly open: Pick<OpenFiles, 'using'>;
  /** The user whom every file in the mount belongs to. */
  readonly ownerUid: () => number;
  readonly broken: () => readonly BrokenSource[];
}

export class ExtendedAttributes {
  readonly #parts: ExtendedAttributesParts;

  constructor(parts: ExtendedAttributesParts) {
    this.#parts = parts;
  }

  /**
   * Gives a value. `caller`: who asks; the kernel has seen that it may read the file.
   * @throws ENODATA for any other name, and where there is nothing to say; EACCES for paths that the caller must not see
   */
  get(ino: number, name: string, caller: Caller): MaybePromise<Buffer> {
    const attribute = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : '';
    const inode = this.#parts.store.inode(ino);
    if (!isAttribute(attribute) || inode?.type !== 'file') throw new PosixError('ENODATA');
    switch (attribute) {
      case 'pieces':
        return this.#parts.open.using(ino, async (open) => await this.#pieces(inode, open));
      case 'state':
        return this.#parts.open.using(ino, async (open) => Buffer.from(this.#state(open)));
      default:
        if (caller.uid !== 0 && caller.uid !== this.#parts.ownerUid()) throw new PosixError('EACCES');
        return this.#parts.open.using(ino, async (open) => this.#source(open));
    }
  }

  /** `VERIFIED/TOTAL` of the pieces that have bytes of the file. */
  async #pieces({ entry: id, torrentOffset, size }: Inode, { file }: OpenInode): Promise<Buffer> {
    const { store } = this.#parts;
    const entry = torrentOffset === undefined ? undefined : await store.entryById(id);
    if (entry === undefined || torrentOffset === undefined) throw new PosixError('ENODATA');
    const map = store.pieceMap(entry.infoHash) ?? Buffer.alloc(0);
    // Of the torrent's file, whatever a client has cut off.
    const length = file.kind === 'plain' ? size : file.content.extents.length;
    const first = Math.floor(torrentOffset / entry.pieceLength);
    const end = length === 0 ? first : Math.ceil((torrentOffset + length) / entry.pieceLength);
    let verified = 0;
    for (let piece = first; piece < end; piece++) if (hasBit(map, piece)) verified++;
    return Buffer.from(`${verified}/${end - first}`);
  }

  #state({ file }: OpenInode): string {
    if (file.kind === 'plain') return 'plain';
    const { store, broken } = this.#parts;
    const { content } = file;
    const unread = new Set(broken().flatMap(({ id, spare }) => (spare === undefined ? [id] : [])));
    const found = new Set<Word>();
    const seen = new Set<number>();
    for (const { source } of content.slice(0, content.size)) {
      if (seen.has(source)) continue;
      seen.add(source);
      if (source === GAP) found.add('gap');
      if (source === OVERLAY) found.add('overlaid');
      if (source < 0) continue;
      if (unread.has(source)) found.add('broken');
      const condition = store.living.condition(source);
      if (condition !== undefined) found.add(wordOf(condition.state));
    }
    const words = WORDS.filter((word) => found.has(word));
    return words.length === 0 ? 'ok' : words.join(' ');
  }

  /** The path of the one source that the whole file is the beginning of, or a line for each extent. */
  #source({ file }: OpenInode): Buffer {
    if (file.kind === 'plain') throw new PosixError('ENODATA');
    const { content } = file;
    const extents = content.slice(0, content.size);
    const [only] = extents;
    if (extents.length === 1 && only !== undefined && only.source >= 0 && only.sourceOffset === 0) {
      return this.#path(only.source);
    }
    if (!extents.some(({ source }) => source >= 0)) throw new PosixError('ENODATA');
    return joined(extents.map((extent) => this.#line(extent)));
  }

  #line({ offset, length, source, sourceOffset }: Extent): Buffer {
    const without = WITHOUT_SOURCE[source];
    if (without !== undefined) return Buffer.from(`${offset} ${length} - ${without}`);
    return Buffer.concat([Buffer.from(`${offset} ${length} ${sourceOffset} `), this.#path(source)]);
  }

  #path(source: number): Buffer {
    return escaped(this.#parts.store.source(source)?.path ?? Buffer.from('?'));
  }
}

function isAttribute(name: string): name is Attribute {
  return ATTRIBUTES.has(name);
}

/** Writes line feeds and backslashes in octal, as the kernel does in /proc/mounts. */
function escaped(path: Buffer): Buffer {
  if (!path.includes(LINE_FEED) && !path.includes(BACKSLASH)) return path;
  const text = path.toString('latin1').replaceAll('\\', String.raw`\134`).replaceAll('\n', String.raw`\012`);
  return Buffer.from(text, 'latin1');
}

/** Joins lines to a value. One that would be too long ends with the number of lines that it lacks. */
function joined(lines: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  let bytes = 0;
  for (const [i, line] of lines.entries()) {
    bytes += line.length + 1;
    if (bytes > LONGEST_VALUE - CUT_ROOM) {
      parts.push(Buffer.from(`... ${lines.length - i} more`));
      break;
    }
    parts.push(line);
  }
  return Buffer.concat(parts.flatMap((part, i) => (i === 0 ? [part] : [Buffer.from('\n'), part])));
}
