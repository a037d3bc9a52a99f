/**
 * The keys under which a source is found: its identity, its path, and its file handle. Several sources may share each
 * (two states of one file that were planned; hard links), so each leads to a list of ids.
 */
import { createHash } from 'node:crypto';
import { millisecondsOf } from '../../native/timestamp.ts';
import type { FileHandle } from '../../source/identity.ts';
import { type Database, del, put, type Write } from '../records/database.ts';
import { handleKey, identityKey, pathKey, pathOfKey, pathsBelow } from '../records/key.ts';
import { Reader, type SourceRecord, Writer } from '../records/record.ts';

/** A source, and where it lies. */
export interface PlacedSource {
  readonly id: number;
  readonly path: Buffer;
}

export class SourceKeys {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Lists the sources that are recorded at a path. */
  at(path: Buffer): number[] {
    return idsOf(this.#db.get(pathKey(path)));
  }

  /** Lists the sources whose file a handle names; `disk`: the file system (`RecordedSource.disk`). */
  byHandle(handle: FileHandle, disk: string | undefined): number[] {
    return idsOf(this.#db.get(handleKeyOf(handle, disk)));
  }

  /** Lists the sources below a folder, in pages (of `size` paths), in the order of their paths. */
  async *below(folder: Buffer, size?: number): AsyncGenerator<PlacedSource[], void, undefined> {
    let end = folder.length;
    while (end > 0 && folder[end - 1] === 0x2f) end--;
    for await (const page of this.#db.pages(pathsBelow(folder.subarray(0, end)), size)) {
      yield page.flatMap(([key, value]) => {
        const path = Buffer.from(pathOfKey(key));
        return idsOf(value).map((id) => ({ id, path }));
      });
    }
  }

  /** Begins a change of keys, which sees its own changes. Only inside `Database.exclusive`. */
  change(): KeyChange {
    return new KeyChange(this.#db);
  }
}

/** Changes of keys for one batch. */
export class KeyChange {
  readonly #db: Database;
  readonly #moves: { readonly id: number; readonly key: Buffer; readonly enters: boolean }[] = [];
  /** By key, as byte strings. */
  readonly #lists = new Map<string, { readonly key: Buffer; readonly ids: number[]; changed: boolean }>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** Finds the first source of an identity, those that were added included. */
  same(source: Omit<SourceRecord, 'spares'>): number | undefined {
    return this.#list(identityKeyOf(source)).ids[0];
  }

  add(id: number, source: Omit<SourceRecord, 'spares'>): void {
    for (const key of keysOf(source)) this.#enter(id, key);
  }

  remove(id: number, source: Omit<SourceRecord, 'spares'>): void {
    for (const key of keysOf(source)) this.#leave(id, key);
  }

  #enter(id: number, key: Buffer): void {
    const list = this.#list(key);
    if (list.ids.includes(id)) return;
    list.ids.push(id);
    list.changed = true;
  }

  #leave(id: number, key: Buffer): void {
    const list = this.#list(key);
    const at = list.ids.indexOf(id);
    if (at < 0) return;
    list.ids.splice(at, 1);
    list.changed = true;
  }

  /** Gives a source other keys; looked up and written by `moves`. */
  move(id: number, from: Omit<SourceRecord, 'spares'>, to: Omit<SourceRecord, 'spares'>): void {
    const [left, entered] = [keysOf(from, to), keysOf(to, from)];
    for (const key of left)
      if (!entered.some((other) => other.equals(key))) this.#moves.push({ id, key, enters: false });
    for (const key of entered)
      if (!left.some((other) => other.equals(key))) this.#moves.push({ id, key, enters: true });
  }

  /** The writes of all moves. `pause` is called between them. */
  async moves(pause: () => Promise<void>): Promise<Write[]> {
    await this.#db.fetch(this.#moves.map(({ key }) => key));
    for (const { id, key, enters } of this.#moves) {
      await pause();
      if (enters) this.#enter(id, key);
      else this.#leave(id, key);
    }
    return this.writes();
  }

  writes(): Write[] {
    return [...this.#lists.values()]
      .filter(({ changed }) => changed)
      .map(({ key, ids }) => (ids.length === 0 ? del(key) : put(key, encodeIds(ids))));
  }

  #list(key: Buffer): { readonly key: Buffer; readonly ids: number[]; changed: boolean } {
    const name = key.toString('latin1');
    const known = this.#lists.get(name);
    if (known !== undefined) return known;
    const list = { key, ids: idsOf(this.#db.get(key)), changed: false };
    this.#lists.set(name, list);
    return list;
  }
}

/** The keys of a record. `other`: a record of the same source; a handle that both have is left out. */
function keysOf(source: Omit<SourceRecord, 'spares'>, other?: Omit<SourceRecord, 'spares'>): Buffer[] {
  const { path, handle, disk } = source;
  const keys = [identityKeyOf(source), pathKey(path)];
  const shared =
    other?.handle?.type === handle?.type && handle !== undefined && other?.handle?.bytes.equals(handle.bytes);
  return handle === undefined || (shared === true && other?.disk === disk)
    ? keys
    : [...keys, handleKeyOf(handle, disk)];
}

function handleKeyOf({ type, bytes }: FileHandle, disk: string | undefined): Buffer {
  return handleKey(
    createHash('sha1')
      .update(`${type} ${disk ?? ''}\0`)
      .update(bytes)
      .digest(),
  );
}

function identityKeyOf({ path, dev, ino, size, mtimeNs, ctimeNs }: Omit<SourceRecord, 'spares'>): Buffer {
  // A record of format 3 keeps the key that it was given. With a ctime, inode and device are hints.
  const numbers = ctimeNs === undefined ? [dev, Number(ino), size, millisecondsOf(mtimeNs)] : [size, mtimeNs, ctimeNs];
  const hash = createHash('sha1').update(`${numbers.join(' ')} `);
  return identityKey(hash.update(path).digest());
}

function idsOf(bytes: Buffer | undefined): number[] {
  const ids: number[] = [];
  if (bytes === undefined) return ids;
  const from = new Reader(bytes);
  while (!from.done) ids.push(from.integer());
  return ids;
}

function encodeIds(ids: readonly number[]): Buffer {
  const out = new Writer();
  for (const id of ids) out.integer(id);
  return out.finish();
}
