/**
 * Moves a file that a client completed into the pool; from then on the entry's file is mapped to a source.
 *
 * Invariant: from the batch on that maps the file to its source, nothing writes to its overlay file, which is that
 * source (the same inode on the disk). Open files take up the new content when `pool` has ended.
 */
import { lstat } from 'node:fs/promises';
import { AutotorrentError, messageOf } from '../../errors.ts';
import { type Extent, GAP } from '../../extent/extent.ts';
import { ExtentMap } from '../../extent/extent-map.ts';
import type { Logger } from '../../logger.ts';
import { fromNanoseconds } from '../../native/timestamp.ts';
import { identityOf } from '../../source/identity.ts';
import type { LookedAtSource } from '../../source/looked-at.ts';
import type { FileBytes } from '../file-bytes.ts';
import type { Notices } from '../notices.ts';
import type { Content } from '../overlay/content.ts';
import type { Overlay } from '../overlay/overlay.ts';
import { BLOCK_BYTES } from '../overlay/written-blocks.ts';
import { type Database, del, put } from '../records/database.ts';
import { entryKey, extentsKey, fileKey, orphanKey } from '../records/key.ts';
import { decodeFile, encodeExtents, encodeFile, type Inode } from '../records/record.ts';
import { type PoolFiles, type Pooling, readersInPool, type Shown } from '../sources/pool-files.ts';
import { type Sources, using } from '../sources/sources.ts';
import type { Tree } from '../tree/tree.ts';
import type { Catalog } from './catalog.ts';
import { formatEntry } from './entry.ts';
import type { StoredFile } from './entry-files.ts';
import type { Pieces } from './pieces.ts';
import type { Unmapped } from './unmapped.ts';

export interface PoolingParts {
  readonly db: Database;
  readonly tree: Tree;
  readonly overlay: Overlay;
  readonly bytes: FileBytes;
  readonly sources: Sources;
  readonly catalog: Catalog;
  readonly pieces: Pieces;
  readonly pool: PoolFiles;
  readonly unmapped: Unmapped;
  readonly notices: Notices;
  readonly logger: Logger;
}

/** A file for the pool. */
export interface PoolRequest {
  /** Components below the pool's folder. */
  readonly place: readonly string[];
  /** The content of the file. Nobody writes to it meanwhile. */
  readonly content: Content;
  /** Who may read the file as the mount shows it: it stays so in the pool. */
  readonly shown: Shown;
}

export class PoolingFiles {
  readonly #parts: PoolingParts;

  constructor(parts: PoolingParts) {
    this.#parts = parts;
  }

  /**
   * Puts a file of an entry into the pool and maps the file to it.
   * Undefined if some byte of the file is not, or no longer, in its overlay file and verified.
   * @throws AutotorrentError('NOT_FOUND') for a file that is gone, ('STORE'), file errors of the disk
   */
  async pool(infoHash: string, file: StoredFile, request: PoolRequest): Promise<Pooling | undefined> {
    const { place, content, shown } = request;
    const { overlay, bytes, pool, logger } = this.#parts;
    if (!this.#isAllOverlay(content, file.length)) return undefined;
    // The file may have been written to since it was verified.
    if (!(await this.#isVerified(file))) return undefined;
    await bytes.syncBytes(content);
    const pooling = await pool.take(overlay.files.path(file.ino), place);
    if ('kept' in pooling) return pooling;
    try {
      // Seals and links change the ctime, also those of other stores: nobody else changes a file of the pool.
      const identity = { ...identityOf(await lstat(pooling.source, { bigint: true })), ctimeNs: undefined };
      const source = {
        path: Buffer.from(pooling.source),
        ...identity,
        spares: [],
        readers: readersInPool(shown),
      };
      await this.#adopt(infoHash, file, source);
    } catch (error) {
      await pool.giveBack(pooling);
      throw error;
    }
    try {
      await pool.seal(pooling, shown);
    } catch (error) {
      // We never write to a source, whatever its mode. Its mode lets nobody else read it yet.
      logger.warn(`${pooling.pooled} is in the pool, and its mode could not be set: ${messageOf(error)}`);
    }
    return pooling;
  }

  #isAllOverlay(content: Content, length: number): boolean {
    if (length === 0) return false;
    if (content.kind === 'plain') return this.#parts.overlay.files.stat(content.ino).size === length;
    return content.size === length && content.blocks.hasAll(0, Math.ceil(length / BLOCK_BYTES));
  }

  async #isVerified({ ino, torrentOffset, length }: StoredFile): Promise<boolean> {
    const inode = this.#parts.tree.inode(ino);
    if (inode === undefined || torrentOffset === undefined) return false;
    const pieces = await this.#parts.pieces.of(inode.entry);
    return pieces?.areVerified(torrentOffset, torrentOffset + length) === true;
  }

  /** Maps a file to `source`, which has the same bytes; the overlay file goes. */
  async #adopt(infoHash: string, file: StoredFile, source: LookedAtSource): Promise<void> {
    const { db, tree, overlay, sources, catalog, unmapped, notices } = this.#parts;
    const [id] = await sources.add([source], catalog.mustHave(infoHash).id);
    if (id === undefined) throw new Error('a source was not recorded');
    const extents = ExtentMap.single(file.length, id);
    await db.exclusive(async () => {
      // Read again: it may be gone, or have been marked, or have lost pieces.
      const entry = catalog.mustHave(infoHash);
      const { ino } = file;
      const inode = tree.inode(ino);
      const key = fileKey(entry.id, file.index);
      const record = db.get(key);
      // An entry of the same torrent that was added anew has files of its own.
      if (inode?.entry !== entry.id || record === undefined || sources.get(id) === undefined)
        throw new AutotorrentError('NOT_FOUND', 'the file is gone');
      const planned = decodeFile(record);
      const old = planned.ino === ino ? undefined : tree.inode(planned.ino);
      const mapped: Inode = {
        ...inode,
        content: 'mapped',
        size: file.length,
        baseEnd: file.length,
        torrentOffset: file.torrentOffset,
        ...(inode.content === 'plain' ? { mtime: fromNanoseconds(source.mtimeNs) } : {}),
      };
      const adopted = { ...mapped, plannedMtime: mapped.mtime };
      const pooledBytes = (entry.pooledBytes ?? 0) + gapBytes(file.base);
      const replaced = old !== undefined && old.nlink === 0 ? old : undefined;
      const named = tree.sources(planned.ino);
      // The replaced file may still be open.
      const written = replaced === undefined ? [] : await overlay.deleting(planned.ino, replaced);
      await db.commit([
        ...(await overlay.deleting(ino, inode)),
        ...(replaced === undefined
          ? []
          : [
              ...written,
              ...tree.deleting(planned.ino, replaced),
              ...tree.whiteouts.writes(planned.ino, replaced, undefined),
              del(orphanKey(planned.ino)),
            ]),
        tree.writing(ino, adopted),
        ...tree.whiteouts.writes(ino, inode, adopted),
        ...using(id, entry.id),
        ...unmapped.noting(entry.id, named),
        put(extentsKey(ino), encodeExtents(extents)),
        put(key, encodeFile({ ...planned, ino, status: 'mapped', mode: 'downloaded' })),
        put(entryKey(infoHash), formatEntry({ ...entry, pooledBytes })),
      ]);
      tree.forget([ino, planned.ino]);
      tree.whiteouts.changed(entry.id);
      if (written.length > 0) overlay.freed(planned.ino);
      overlay.becameMapped(ino, extents);
      notices.stale({ ino });
      unmapped.note(entry.id);
    });
  }
}

/** Counts the bytes of a file that no source supplies. */
function gapBytes(extents: readonly Extent[]): number {
  return extents.reduce((sum, { source, length }) => sum + (source === GAP ? length : 0), 0);
}
