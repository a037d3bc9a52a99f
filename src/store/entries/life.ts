/**
 * Creates and removes entries (`entry.ts` has the states): each appears with one batch and disappears with one.
 *
 * After a crash no name leads to the remains of an entry that was being made or removed; its intent leads to them, and
 * the next start deletes them.
 */
import { AutotorrentError, messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { Plan } from '../../plan/plan.ts';
import type { Notices } from '../notices.ts';
import type { Overlay } from '../overlay/overlay.ts';
import { type Database, del, put, type Write } from '../records/database.ts';
import {
  direntKey,
  entryKey,
  INTENTS,
  intentKey,
  lastNumber,
  longNamesKey,
  metainfoKey,
  nameKey,
  pieceMapKey,
  proofDaysKey,
  proofsKey,
} from '../records/key.ts';
import { damaged, Reader, Writer } from '../records/record.ts';
import type { Proofs } from '../sources/proofs.ts';
import type { Sources } from '../sources/sources.ts';
import { entryNames } from '../tree/names.ts';
import type { Namespace } from '../tree/namespace.ts';
import { Removal } from '../tree/removal.ts';
import { ROOT, type Tree } from '../tree/tree.ts';
import type { Catalog } from './catalog.ts';
import { Creation, type EntryPlan, newFolder } from './creation.ts';
import { formatEntry, type StoredEntry } from './entry.ts';
import type { Pieces } from './pieces.ts';

/** The plan of an entry that is listed but not mounted: the client was pointed at the original folder. */
export type ExternalPlan = Omit<Plan, 'sources' | 'files'> & {
  readonly directory: string;
  readonly torrentName: string;
  readonly fileCount: number;
};

/** An entry to delete: its id and its top folder. */
interface Unfinished {
  readonly entry: number;
  readonly ino: number;
}

export interface EntryLifeParts {
  readonly db: Database;
  readonly tree: Tree;
  readonly names: Namespace;
  readonly sources: Sources;
  readonly overlay: Overlay;
  readonly pieces: Pieces;
  readonly proofs: Proofs;
  readonly catalog: Catalog;
  readonly notices: Notices;
  readonly logger: Logger;
  /** True once the store is closing: the next start then deletes what is left. */
  readonly stopped: () => boolean;
}

export class EntryLife {
  readonly #parts: EntryLifeParts;
  #removals = 0;

  constructor(parts: EntryLifeParts) {
    this.#parts = parts;
  }

  /** The number of entries that have been removed. */
  get removals(): number {
    return this.#removals;
  }

  /**
   * Makes an entry, in state `adding`, and shows it; it is on the disk when this resolves. An entry that fails leaves nothing.
   * Its batches are not synced one by one. The log keeps their order, so that one sync at the end covers them, and those of
   * all entries that are made at the same time.
   * @throws AutotorrentError('CONFLICT') if the info hash has an entry already, ('TORRENT') for an unsound plan
   */
  async create(plan: EntryPlan): Promise<StoredEntry> {
    const { catalog, overlay, db, tree, sources, logger } = this.#parts;
    catalog.refuseSecond(plan.infoHash);
    const now = overlay.now();
    const { id, ino } = await db.exclusive(async () => {
      const id = db.take('entry');
      const ino = db.take('ino');
      await db.commit([intentTo(id, ino), tree.writing(ino, newFolder(now, id, ROOT))], { sync: false });
      return { id, ino };
    });
    let entry: StoredEntry;
    try {
      const built = await new Creation(db, tree, sources, id, ino, now).build(plan);
      entry = await this.#publish(plan, { ...built, id, ino, kind: 'mount' });
    } catch (error) {
      await this.#cleanUp(id, ino).catch((failure: unknown) => {
        logger.warn(`an unfinished entry will be deleted at the next start: ${messageOf(failure)}`);
      });
      throw error;
    }
    await this.#synced(entry);
    return entry;
  }

  /** Like `create`, for an entry that is only listed. */
  async createExternal(plan: ExternalPlan): Promise<StoredEntry> {
    this.#parts.catalog.refuseSecond(plan.infoHash);
    const { torrentName, fileCount, directory } = plan;
    const own = { torrentName, fileCount, directory, verifiedPieces: 0, id: 0, ino: 0 };
    const entry = await this.#publish(plan, { ...own, kind: 'external' });
    await this.#synced(entry);
    return entry;
  }

  /** Waits until a visible entry is on the disk; removes it if that fails. */
  async #synced({ infoHash }: StoredEntry): Promise<void> {
    const { db, logger } = this.#parts;
    try {
      await db.sync();
    } catch (error) {
      await this.remove(infoHash).catch((failure: unknown) => {
        logger.warn(`an entry that may not be on the disk could not be taken back: ${messageOf(failure)}`);
      });
      throw error;
    }
  }

  async #publish(
    plan: Omit<Plan, 'sources' | 'files'>,
    built: Pick<StoredEntry, 'id' | 'ino' | 'kind' | 'directory' | 'torrentName' | 'fileCount' | 'verifiedPieces'>,
  ): Promise<StoredEntry> {
    const { catalog, db, tree, notices } = this.#parts;
    return await db.exclusive(async () => {
      catalog.refuseSecond(plan.infoHash);
      const name = entryNames(plan.name, plan.infoHash).find(
        (name) => catalog.isFree(name) && tree.lookup(ROOT, name) === undefined,
      );
      if (name === undefined) throw new AutotorrentError('CONFLICT', 'every name for this entry is taken');
      const { infoHash, totalLength, missingBytes, pieceCount, pieceLength, verify } = plan;
      const entry: StoredEntry = {
        ...built,
        infoHash,
        ...(plan.infoHashV2 === undefined ? {} : { infoHashV2: plan.infoHashV2 }),
        name,
        state: 'adding',
        createdMs: Date.now(),
        totalLength,
        missingBytes,
        pieceCount,
        pieceLength,
        verify,
      };
      const writes = [
        put(entryKey(infoHash), formatEntry(entry)),
        put(nameKey(name), Buffer.from(infoHash, 'hex')),
        put(metainfoKey(infoHash), plan.metainfo),
        put(pieceMapKey(infoHash), plan.verified),
      ];
      if (built.kind === 'external') {
        await db.commit(writes, { sync: false });
        return entry;
      }
      writes.push(tree.linking(ROOT, name, { ino: built.ino, type: 'directory' }), this.#rootWith(1));
      await db.commit([...writes, del(intentKey(built.id))], { sync: false });
      tree.forget([ROOT]);
      catalog.made(entry);
      notices.stale({ parent: ROOT, name });
      return entry;
    });
  }

  /**
   * Removes an entry: it disappears at once, and is deleted when this resolves. Sources stay.
   * @throws AutotorrentError('NOT_FOUND')
   */
  async remove(infoHash: string): Promise<void> {
    const { catalog, db, tree, names, notices } = this.#parts;
    const entry = await db.exclusive(async () => {
      const entry = catalog.mustHave(infoHash);
      const writes: Write[] = [
        del(entryKey(entry.infoHash)),
        del(nameKey(entry.name)),
        del(metainfoKey(entry.infoHash)),
        del(pieceMapKey(entry.infoHash)),
        del(proofDaysKey(entry.infoHash)),
      ];
      if (entry.kind === 'external') {
        await db.commit(writes, { needed: true });
        return undefined;
      }
      writes.push(del(direntKey(ROOT, entry.name)), intentTo(entry.id, entry.ino), this.#rootWith(-1));
      await db.commit(writes, { needed: true });
      tree.forget([ROOT]);
      this.#removals++;
      notices.stale({ parent: ROOT, name: entry.name });
      return { ...entry, gone: names.removing(entry.id) };
    });
    if (entry === undefined) return;
    try {
      await this.#cleanUp(entry.id, entry.ino);
    } finally {
      entry.gone();
    }
  }

  #rootWith(subfolders: number): Write {
    const { tree, overlay } = this.#parts;
    const root = tree.inode(ROOT);
    if (root === undefined) throw damaged('it has no root');
    const now = overlay.now();
    return tree.writing(ROOT, { ...root, nlink: root.nlink + subfolders, mtime: now, ctime: now });
  }

  async #cleanUp(id: number, ino: number): Promise<void> {
    const { db, tree, sources, overlay, pieces, proofs, stopped } = this.#parts;
    const done = await new Removal(db, tree, sources, overlay, stopped).run(id, ino);
    await overlay.departures.done();
    pieces.forget(id);
    proofs.forget(id);
    if (!done) return;
    await db.exclusive(
      async () => await db.commit([del(proofsKey(id)), del(longNamesKey(id)), del(intentKey(id))], { needed: true }),
    );
  }

  /**
   * Lists what a killed server was making or removing. Called before anything is made, so that no intent is this
   * server's.
   */
  async unfinished(): Promise<Unfinished[]> {
    const found: Unfinished[] = [];
    for await (const page of this.#parts.db.pages(INTENTS)) {
      found.push(...page.map(([key, value]) => ({ entry: lastNumber(key), ino: new Reader(value).integer() })));
    }
    return found;
  }

  /** Deletes unfinished entries. */
  async finish(unfinished: readonly Unfinished[]): Promise<void> {
    const { logger, stopped } = this.#parts;
    for (const { entry, ino } of unfinished) {
      if (stopped()) return;
      await this.#cleanUp(entry, ino);
      logger.info('deleted what an interrupted add or remove had left in the store');
    }
  }
}

function intentTo(entry: number, ino: number): Write {
  return put(intentKey(entry), new Writer().integer(ino).finish());
}
