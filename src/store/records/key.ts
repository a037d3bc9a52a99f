/**
 * The store's keys: a letter for the type, then its fields, all of fixed width but the last, so that neighbours in the
 * database are neighbours in the tree. Numbers are 48 bits, big-endian: they sort as they count.
 *
 *     V                       the format of the store
 *     C                       counters: next inode number, next source id, next entry id
 *     D parent name           dirent: an inode number and its type; the name's own bytes, UTF-8 or not
 *     I ino                   inode
 *     X ino                   its extents (files)
 *     L ino                   its target (symlinks)
 *     S id                    source
 *     H sha1(identity)        source ids of that identity; a plan's source becomes the first
 *     J path                  source ids of that path
 *     T sha1(handle, disk)    source ids of the file that the handle names
 *     K id                    condition of the source, unless it is trusted
 *     Q id                    the source's last changes
 *     Y id                    who may read the source, if somebody looked
 *     n id                    hard links of the source, if somebody looked and there is not one
 *     R source entry          the entry uses the source; the source is deleted with its last record
 *     U entry source          the same, from the entry's side
 *     E info-hash             entry
 *     N name                  info hash of the entry of that name
 *     M info-hash             raw metainfo
 *     P info-hash             piece map
 *     r entry source          the entry may use the source no more: a file was mapped anew
 *     p entry                 the epochs at which pieces of the entry were proven, if any was
 *     h info-hash             days on which its pieces were hashed (`proof-days.ts`)
 *     F entry index           file of an entry, by the torrent's file index
 *     A entry index           further names, under which a client looks for the file
 *     l entry                 the entry has names that no disk takes (`tree/names.ts`)
 *     g                       the store's generation: a random number of 32 bits that no other store has
 *     k                       the first source that has no path key yet; absent: all have (`key-migration.ts`)
 *     B entry                 intent: what to delete if the server dies now
 *     O ino                   the inode has an overlay file
 *     W ino chunk             which blocks of the overlay file are written (`written-blocks.ts`)
 *     w entry ino             whiteout: a file of the torrent without a name (`tree/whiteouts.ts`)
 *     v                       whiteouts have no keys yet; absent: all have
 *     Z ino                   orphan: an open inode that lost its last name
 *     G ino                   garbage: an overlay file whose inode is gone
 */
import { bytesOfName, nameOf } from '../../bytes/name-text.ts';

export const VERSION_KEY = Buffer.from('V');
export const COUNTERS_KEY = Buffer.from('C');
export const GENERATION_KEY = Buffer.from('g');
export const KEYING_KEY = Buffer.from('k');
export const WHITEOUT_MIGRATION_KEY = Buffer.from('v');

const NUMBER_BYTES = 6;

function withNumbers(letter: string, ...numbers: readonly number[]): Buffer {
  const key = Buffer.allocUnsafe(1 + NUMBER_BYTES * numbers.length);
  key.write(letter, 'latin1');
  let at = 1;
  for (const number of numbers) at = key.writeUIntBE(number, at, NUMBER_BYTES);
  return key;
}

export const direntKey = (parent: number, name: string): Buffer => {
  const bytes = bytesOfName(name);
  const key = Buffer.allocUnsafe(1 + NUMBER_BYTES + bytes.length);
  key.write('D', 'latin1');
  bytes.copy(key, key.writeUIntBE(parent, 1, NUMBER_BYTES));
  return key;
};
export const nameOfDirentKey = (key: Buffer): string => nameOf(key.subarray(1 + NUMBER_BYTES));
export const inodeKey = (ino: number): Buffer => withNumbers('I', ino);
export const extentsKey = (ino: number): Buffer => withNumbers('X', ino);
export const linkKey = (ino: number): Buffer => withNumbers('L', ino);
export const sourceKey = (id: number): Buffer => withNumbers('S', id);
export const conditionKey = (id: number): Buffer => withNumbers('K', id);
export const storyKey = (id: number): Buffer => withNumbers('Q', id);
export const pathKey = (path: Buffer): Buffer => Buffer.concat([Buffer.from('J'), path]);
export const handleKey = (sha1: Buffer): Buffer => Buffer.concat([Buffer.from('T'), sha1]);
export const pathOfKey = (key: Buffer): Buffer => key.subarray(1);
export const readersKey = (id: number): Buffer => withNumbers('Y', id);
export const linksKey = (id: number): Buffer => withNumbers('n', id);
export const identityKey = (sha1: Buffer): Buffer => Buffer.concat([Buffer.from('H'), sha1]);
export const userKey = (source: number, entry: number): Buffer => withNumbers('R', source, entry);
export const useKey = (entry: number, source: number): Buffer => withNumbers('U', entry, source);
export const entryKey = (infoHash: string): Buffer => Buffer.concat([Buffer.from('E'), Buffer.from(infoHash, 'hex')]);
export const nameKey = (name: string): Buffer => Buffer.from(`N${name}`);
export const metainfoKey = (infoHash: string): Buffer =>
  Buffer.concat([Buffer.from('M'), Buffer.from(infoHash, 'hex')]);
export const pieceMapKey = (infoHash: string): Buffer =>
  Buffer.concat([Buffer.from('P'), Buffer.from(infoHash, 'hex')]);
export const proofsKey = (entry: number): Buffer => withNumbers('p', entry);
export const proofDaysKey = (infoHash: string): Buffer =>
  Buffer.concat([Buffer.from('h'), Buffer.from(infoHash, 'hex')]);
export const unmappedKey = (entry: number, source: number): Buffer => withNumbers('r', entry, source);
export const fileKey = (entry: number, index: number): Buffer => withNumbers('F', entry, index);
export const aliasKey = (entry: number, index: number): Buffer => withNumbers('A', entry, index);
export const longNamesKey = (entry: number): Buffer => withNumbers('l', entry);
export const intentKey = (entry: number): Buffer => withNumbers('B', entry);

export const overlayKey = (ino: number): Buffer => withNumbers('O', ino);
export const writtenKey = (ino: number, chunk: number): Buffer => withNumbers('W', ino, chunk);
export const whiteoutKey = (entry: number, ino: number): Buffer => withNumbers('w', entry, ino);
export const orphanKey = (ino: number): Buffer => withNumbers('Z', ino);
export const garbageKey = (ino: number): Buffer => withNumbers('G', ino);

/** Reads the last number of a key that ends with one. */
export const lastNumber = (key: Buffer): number => key.readUIntBE(key.length - NUMBER_BYTES, NUMBER_BYTES);

/** Reads the entry of a key that ends with the entry and another number. */
export const entryBeforeLast = (key: Buffer): number => lastNumber(key.subarray(0, key.length - NUMBER_BYTES));

/** Reads both numbers of the key of a use. */
export const sourceAndEntryOf = (key: Buffer): [source: number, entry: number] => [
  key.readUIntBE(1, NUMBER_BYTES),
  lastNumber(key),
];

export interface KeyRange {
  readonly gte: Buffer;
  readonly lt: Buffer;
}

/** The range of every key that begins with `prefix`. */
function beginningWith(prefix: Buffer): KeyRange {
  const lt = Buffer.from(prefix);
  for (let i = lt.length - 1; i >= 0; i--) {
    const byte = lt[i] ?? 0;
    lt[i] = (byte + 1) & 0xff;
    if (byte !== 0xff) break;
  }
  return { gte: prefix, lt };
}

/** The range of all names in a folder, or of those after `after`. */
export const direntsOf = (parent: number, after?: string): KeyRange => {
  const all = beginningWith(withNumbers('D', parent));
  // No name holds a zero byte.
  return after === undefined ? all : { ...all, gte: Buffer.concat([direntKey(parent, after), Buffer.from([0])]) };
};
/** The range of the sources from an id on. */
export const sourcesFrom = (id: number): KeyRange => ({ ...SOURCES, gte: sourceKey(id) });
/** The range of the paths below a folder, whose name ends without a slash. */
export const pathsBelow = (folder: Buffer): KeyRange =>
  beginningWith(Buffer.concat([Buffer.from('J'), folder, Buffer.from('/')]));
/** The range of the users of a source, or of all sources from it to `last`. */
export const usersOf = (source: number, last = source): KeyRange => ({
  gte: withNumbers('R', source),
  lt: beginningWith(withNumbers('R', last)).lt,
});
export const usesOf = (entry: number): KeyRange => beginningWith(withNumbers('U', entry));
export const filesOf = (entry: number): KeyRange => beginningWith(withNumbers('F', entry));
export const aliasesOf = (entry: number): KeyRange => beginningWith(withNumbers('A', entry));
export const writtenOf = (ino: number): KeyRange => beginningWith(withNumbers('W', ino));
export const unmappedOf = (entry: number): KeyRange => beginningWith(withNumbers('r', entry));
export const whiteoutsOf = (entry: number): KeyRange => beginningWith(withNumbers('w', entry));
export const WHITEOUTS = beginningWith(Buffer.from('w'));
export const INODES = beginningWith(Buffer.from('I'));
export const UNMAPPED = beginningWith(Buffer.from('r'));
export const USES = beginningWith(Buffer.from('R'));
export const ALIASES = beginningWith(Buffer.from('A'));
export const ENTRIES = beginningWith(Buffer.from('E'));
export const INTENTS = beginningWith(Buffer.from('B'));
export const SOURCES = beginningWith(Buffer.from('S'));
export const CONDITIONS = beginningWith(Buffer.from('K'));
export const OVERLAYS = beginningWith(Buffer.from('O'));
export const ORPHANS = beginningWith(Buffer.from('Z'));
export const GARBAGE = beginningWith(Buffer.from('G'));
