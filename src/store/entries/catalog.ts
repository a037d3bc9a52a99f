/** The entries as records: finding them by info hash, by name and by id, listing them, and the few things that change in one. */
import { AutotorrentError } from '../../errors.ts';
import { type Database, put } from '../records/database.ts';
import { ENTRIES, entryKey, metainfoKey, nameKey, pieceMapKey } from '../records/key.ts';
import { type Entry, formatEntry, parseEntry, type StoredEntry } from './entry.ts';

export class Catalog {
  readonly #db: Database;
  /** By entry id, of those that are mounted. */
  readonly #infoHashes = new Map<number, string>();
  #loading: Promise<void> | undefined;

  constructor(db: Database) {
    this.#db = db;
  }

  /** The entry of an info hash or a name. */
  find(infoHashOrName: string): StoredEntry | undefined {
    const byHash = isInfoHash(infoHashOrName) ? this.#db.get(entryKey(infoHashOrName)) : undefined;
    if (byHash !== undefined) return parseEntry(byHash);
    const infoHash = this.#db.get(nameKey(infoHashOrName))?.toString('hex');
    const byName = infoHash === undefined ? undefined : this.#db.get(entryKey(infoHash));
    return byName === undefined ? undefined : parseEntry(byName);
  }

  /** @throws AutotorrentError('NOT_FOUND') */
  mustHave(infoHash: string): StoredEntry {
    const entry = this.find(infoHash);
    if (entry !== undefined) return entry;
    throw new AutotorrentError('NOT_FOUND', `there is no entry ${infoHash}`, { hint: 'autotorrent list' });
  }

  /** @throws AutotorrentError('CONFLICT') where an info hash has an entry, ('TORRENT') for what is no info hash */
  refuseSecond(infoHash: string): void {
    if (!isInfoHash(infoHash)) throw new AutotorrentError('TORRENT', `${JSON.stringify(infoHash)} is no info hash`);
    const entry = this.find(infoHash);
    if (entry === undefined) return;
    throw new AutotorrentError('CONFLICT', `the store has this torrent already, as ${JSON.stringify(entry.name)}`);
  }

  /** Whether no entry has a name. */
  isFree(name: string): boolean {
    return this.#db.get(nameKey(name)) === undefined;
  }

  /** In the order of their info hashes. */
  async *list(): AsyncGenerator<StoredEntry, void, undefined> {
    for await (const page of this.#db.pages(ENTRIES)) for (const [, value] of page) yield parseEntry(value);
  }

  /** The mounted entry whose inodes carry `id`. */
  async byId(id: number): Promise<StoredEntry | undefined> {
    if (!this.#infoHashes.has(id)) await this.loadIds();
    const infoHash = this.#infoHashes.get(id);
    const entry = infoHash === undefined ? undefined : this.find(infoHash);
    return entry?.id === id ? entry : undefined;
  }

  /** Reads the ids of all entries, once: a question for one need not look at all of them then. */
  async loadIds(): Promise<void> {
    this.#loading ??= this.#readIds().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    await this.#loading;
  }

  async #readIds(): Promise<void> {
    for await (const entry of this.list()) this.made(entry);
  }

  /** An entry is there. That one has gone need not be told: it is not found any more. */
  made({ id, kind, infoHash }: StoredEntry): void {
    if (kind === 'mount') this.#infoHashes.set(id, infoHash);
  }

  /** Marks entries as added; gives those that there are: another command may have removed some. */
  async markAdded(infoHashes: readonly string[]): Promise<string[]> {
    return await this.#db.exclusive(async () => {
      const entries = infoHashes.map((infoHash) => this.find(infoHash)).filter((entry) => entry !== undefined);
      await this.#db.commit(
        entries.map((entry) => put(entryKey(entry.infoHash), formatEntry({ ...entry, state: 'added' }))),
      );
      return entries.map(({ infoHash }) => infoHash);
    });
  }

  /** The raw .torrent. */
  metainfo(infoHash: string): Buffer | undefined {
    return isInfoHash(infoHash) ? this.#db.get(metainfoKey(infoHash)) : undefined;
  }

  /** One bit a piece, most significant bit first: set for a piece that was hashed and agreed. */
  pieceMap(infoHash: string): Buffer | undefined {
    return isInfoHash(infoHash) ? this.#db.get(pieceMapKey(infoHash)) : undefined;
  }
}

/** An entry as everybody else sees it. */
export function shown({ id: _id, ino: _ino, ...entry }: StoredEntry): Entry {
  return entry;
}

function isInfoHash(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}
