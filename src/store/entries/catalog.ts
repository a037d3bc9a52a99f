/** The records of entries: finds them by info hash, name and id, lists them, and changes the few fields that change. */
import { AutotorrentError } from '../../errors.ts';
import { type Database, put } from '../records/database.ts';
import { ENTRIES, entryKey, metainfoKey, nameKey, pieceMapKey } from '../records/key.ts';
import { type Entry, formatEntry, parseEntry, type StoredEntry } from './entry.ts';

export class Catalog {
  readonly #db: Database;
  /** The info hashes of mounted entries, by entry id. */
  readonly #infoHashes = new Map<number, string>();
  #loading: Promise<void> | undefined;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Finds an entry by its info hash or name. */
  find(infoHashOrName: string): StoredEntry | undefined {
    const byHash = isInfoHash(infoHashOrName) ? this.#db.get(entryKey(infoHashOrName)) : undefined;
    if (byHash !== undefined) return parseEntry(byHash);
    const infoHash = this.#db.get(nameKey(infoHashOrName))?.toString('hex');
    const byName = infoHash === undefined ? undefined : this.#db.get(entryKey(infoHash));
    return byName === undefined ? undefined : parseEntry(byName);
  }

  /** Finds an entry by its info hash. @throws AutotorrentError('NOT_FOUND') */
  mustHave(infoHash: string): StoredEntry {
    const entry = this.find(infoHash);
    if (entry !== undefined) return entry;
    throw new AutotorrentError('NOT_FOUND', `there is no entry ${infoHash}`, { hint: 'autotorrent list' });
  }

  /** @throws AutotorrentError('CONFLICT') if the info hash has an entry, ('TORRENT') if it is no info hash */
  refuseSecond(infoHash: string): void {
    if (!isInfoHash(infoHash)) throw new AutotorrentError('TORRENT', `${JSON.stringify(infoHash)} is no info hash`);
    const entry = this.find(infoHash);
    if (entry === undefined) return;
    throw new AutotorrentError('CONFLICT', `the store has this torrent already, as ${JSON.stringify(entry.name)}`);
  }

  /** Reports whether no entry has a name. */
  isFree(name: string): boolean {
    return this.#db.get(nameKey(name)) === undefined;
  }

  /** Lists the entries in the order of their info hashes. */
  async *list(): AsyncGenerator<StoredEntry, void, undefined> {
    for await (const page of this.#db.pages(ENTRIES)) for (const [, value] of page) yield parseEntry(value);
  }

  /** Finds the mounted entry whose inodes carry `id`. */
  async byId(id: number): Promise<StoredEntry | undefined> {
    if (!this.#infoHashes.has(id)) await this.loadIds();
    const infoHash = this.#infoHashes.get(id);
    const entry = infoHash === undefined ? undefined : this.find(infoHash);
    return entry?.id === id ? entry : undefined;
  }

  /** Reads the ids of all entries, once, so that a look-up of one id need not read all entries. */
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

  /** Notes a new entry. Removals need no note: a removed entry is simply not found. */
  made({ id, kind, infoHash }: StoredEntry): void {
    if (kind === 'mount') this.#infoHashes.set(id, infoHash);
  }

  /** Marks entries as added. Returns those that exist: another command may have removed some. */
  async markAdded(infoHashes: readonly string[]): Promise<string[]> {
    return await this.#db.exclusive(async () => {
      const entries = infoHashes.map((infoHash) => this.find(infoHash)).filter((entry) => entry !== undefined);
      await this.#db.commit(
        entries.map((entry) => put(entryKey(entry.infoHash), formatEntry({ ...entry, state: 'added' }))),
      );
      return entries.map(({ infoHash }) => infoHash);
    });
  }

  /** Reads the raw .torrent. */
  metainfo(infoHash: string): Buffer | undefined {
    return isInfoHash(infoHash) ? this.#db.get(metainfoKey(infoHash)) : undefined;
  }

  /** Reads the piece map: one bit per piece, most significant bit first, set if the piece was hashed and matched. */
  pieceMap(infoHash: string): Buffer | undefined {
    return isInfoHash(infoHash) ? this.#db.get(pieceMapKey(infoHash)) : undefined;
  }
}

/** Converts a stored entry to the form that other folders see. */
export function shown({ id: _id, ino: _ino, ...entry }: StoredEntry): Entry {
  return entry;
}

function isInfoHash(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}
