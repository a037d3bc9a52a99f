/**
 * The contents in use: one for each inode, shared by all that have it open, until its last user leaves and it is
 * recorded.
 */
import { PosixError } from '../../errors.ts';
import type { Database } from '../records/database.ts';
import { lastNumber, writtenOf } from '../records/key.ts';
import { damaged } from '../records/record.ts';
import type { Tree } from '../tree/tree.ts';
import { type Content, MappedContent, PlainContent } from './content.ts';
import type { Descriptors, OverlayFile } from './descriptors.ts';

export class Contents {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #descriptors: Descriptors;
  readonly #mapped = new Map<number, MappedContent>();
  readonly #plain = new Map<number, PlainContent>();
  readonly #loading = new Map<number, Promise<MappedContent>>();

  constructor(db: Database, tree: Tree, descriptors: Descriptors) {
    this.#db = db;
    this.#tree = tree;
    this.#descriptors = descriptors;
  }

  /** The mapped contents that are open or not yet checkpointed. */
  get mapped(): Iterable<MappedContent> {
    return this.#mapped.values();
  }

  /** The content of a mapped file that is open or not yet checkpointed. */
  inUse(ino: number): MappedContent | undefined {
    return this.#mapped.get(ino);
  }

  plainInUse(ino: number): PlainContent | undefined {
    return this.#plain.get(ino);
  }

  /**
   * Returns the content of a file and adds a user, until `release`.
   * @throws ENOENT, AutotorrentError('STORE'), file errors of the disk
   */
  acquire(ino: number): Content | Promise<Content> {
    const inode = this.#tree.inode(ino);
    if (inode?.content !== 'plain' || inode.type !== 'file') return this.acquireMapped(ino);
    const known = this.#plain.get(ino);
    return known === undefined ? this.plain(ino) : used(known);
  }

  /** Makes the content of a plain file that is not in use yet, with one user. @throws file errors of the disk */
  plain(ino: number): PlainContent {
    const overlay = this.#descriptors.of(ino);
    // A missing overlay file fails here.
    void overlay.fd;
    return this.made(ino, overlay);
  }

  /** Makes the content of a plain file that was just made, with one user. */
  made(ino: number, overlay: OverlayFile): PlainContent {
    const content = new PlainContent(ino, overlay);
    this.#plain.set(ino, content);
    return used(content);
  }

  /** Like `acquire`, for an inode that is known to be mapped. */
  acquireMapped(ino: number): MappedContent | Promise<MappedContent> {
    const known = this.#mapped.get(ino);
    if (known !== undefined) return used(known);
    const inode = this.#tree.inode(ino);
    if (inode === undefined) throw damaged(`inode ${ino} is not there`);
    if (inode.content === 'overlaid') return this.load(ino).then(used);
    const content = new MappedContent(ino, inode, this.#tree.extents(ino));
    this.#mapped.set(ino, content);
    return used(content);
  }

  release(content: Content): void {
    content.users--;
    if (content.kind === 'mapped') return this.dropIfUnused(content);
    if (content.users > 0) return;
    content.overlay.close();
    if (this.#plain.get(content.ino) === content) this.#plain.delete(content.ino);
  }

  /** Loads a content without adding a user. */
  async load(ino: number): Promise<MappedContent> {
    const loading = this.#loading.get(ino) ?? this.#read(ino).finally(() => this.#loading.delete(ino));
    this.#loading.set(ino, loading);
    return await loading;
  }

  async #read(ino: number): Promise<MappedContent> {
    for (;;) {
      const inode = this.#tree.inode(ino);
      if (inode === undefined) throw new PosixError('ENOENT');
      if (inode.type !== 'file') throw damaged(`inode ${ino} is no file`);
      const overlay = inode.content === 'overlaid' ? this.#descriptors.of(ino) : undefined;
      const content = new MappedContent(ino, inode, this.#tree.extents(ino), overlay);
      if (content.overlaid) {
        for await (const page of this.#db.pages(writtenOf(ino))) {
          for (const [key, value] of page) content.blocks.load(lastNumber(key), value);
        }
      }
      const known = this.#mapped.get(ino);
      if (known !== undefined) return known;
      // Something changed meanwhile: its times; or it was deleted, and what was written to it is gone.
      if (this.#tree.inode(ino) !== inode) continue;
      this.#mapped.set(ino, content);
      return content;
    }
  }

  dropIfUnused(content: MappedContent): void {
    if (content.users > 0 || content.checkpoint !== undefined) return;
    // Even if it waits for its checkpoint: more contents may be waiting than files may be open.
    content.overlay?.rest();
    if (content.dirty && !content.gone) return;
    content.overlay?.close();
    if (this.#mapped.get(content.ino) === content) this.#mapped.delete(content.ino);
  }

  /** Notes that an inode, or all that it had in the overlay, was deleted; files that are open keep the descriptor. */
  gone(ino: number): void {
    const plain = this.#plain.get(ino);
    if (plain !== undefined) keepOpen(plain);
    this.#plain.delete(ino);
    const content = this.#mapped.get(ino);
    if (content === undefined) return;
    if (content.users > 0) keepOpen(content);
    content.gone = true;
    this.#mapped.delete(ino);
    this.dropIfUnused(content);
  }

  /** Notes that a plain file has become mapped; its users must take up the new content. */
  plainIsSource(ino: number): void {
    const plain = this.#plain.get(ino);
    if (plain === undefined) return;
    plain.isSource = true;
    keepOpen(plain);
    this.#plain.delete(ino);
  }
}

function used<T extends Content>(content: T): T {
  content.users++;
  return content;
}

/** Pins an overlay file that is about to be deleted. If it cannot be opened any more, reads of it will fail. */
function keepOpen({ overlay }: Content): void {
  try {
    overlay?.pin();
  } catch {}
}
