/**
 * Further names of an entry's files, under which a client looks for them.
 *
 * An alias is a dirent like any other (a hard link) and goes with the entry. It is recorded as an alias so that
 * `overlay discard` can restore it.
 */
import { AutotorrentError } from '../../errors.ts';
import type { Timestamp } from '../../native/timestamp.ts';
import type { Notices } from '../notices.ts';
import { type Database, NOTHING, put, type Write } from '../records/database.ts';
import { aliasKey, longNamesKey } from '../records/key.ts';
import { decodePaths, encodePaths, type Inode } from '../records/record.ts';
import { checkPath, hasLongName } from '../tree/names.ts';
import type { Place } from '../tree/namespace.ts';
import type { Tree } from '../tree/tree.ts';
import { newFolder } from './creation.ts';
import type { StoredEntry } from './entry.ts';

export interface Alias {
  /** The torrent's file index. */
  readonly index: number;
  readonly ino: number;
  /** Components below the entry's folder. */
  readonly path: readonly string[];
}

const SLICE = 1000;

/**
 * Adds aliases. May be repeated; if it fails, nothing is changed.
 * @throws AutotorrentError('CLIENT') for names that no folder can hold, ('CONFLICT') if another file has a name already
 *   or two files would get one
 */
export async function addAliases(
  { db, tree, notices }: { readonly db: Database; readonly tree: Tree; readonly notices: Notices },
  { id: entry, ino: root }: StoredEntry,
  aliases: readonly Alias[],
  now: Timestamp,
): Promise<void> {
  await checkAliases(tree, root, aliases);
  for (let from = 0; from < aliases.length; from += SLICE) {
    await db.exclusive(async () => {
      const changed = new Map<number, Inode>();
      const dirents = new Map<string, number>();
      const made: Place[] = [];
      const writes: Write[] = [];
      const inodeOf = (ino: number): Inode => changed.get(ino) ?? tree.inode(ino) ?? newFolder(now, entry, root);
      for (const { ino, path, index } of aliases.slice(from, from + SLICE)) {
        writes.push(...recording(db, entry, index, path));
        let parent = root;
        for (const [depth, name] of path.entries()) {
          const key = `${parent}/${name}`;
          const found = dirents.get(key) ?? tree.lookup(parent, name)?.ino;
          const last = depth === path.length - 1;
          const child = found ?? (last ? ino : db.take('ino'));
          if (found === undefined) {
            dirents.set(key, child);
            made.push({ parent, name });
            const type = last ? inodeOf(child).type : 'directory';
            writes.push(tree.linking(parent, name, { ino: child, type }));
            const above = inodeOf(parent);
            changed.set(parent, { ...above, nlink: above.nlink + (last ? 0 : 1), mtime: now, ctime: now });
            const own = inodeOf(child);
            const linked = { ...own, nlink: own.nlink + 1, ctime: now };
            changed.set(child, last ? linked : newFolder(now, entry, parent));
          }
          parent = child;
        }
      }
      for (const [ino, inode] of changed) {
        writes.push(tree.writing(ino, inode), ...tree.whiteouts.writes(ino, tree.inode(ino), inode));
      }
      await db.commit(writes);
      tree.forget(changed.keys());
      tree.whiteouts.changed(entry);
      for (const { parent, name } of made) notices.stale({ parent, name });
      for (const ino of changed.keys()) notices.stale({ ino });
    });
  }
}

/** Writes a name beside those that the file has from other clients, or for another time of this one. */
function recording(db: Database, entry: number, index: number, path: readonly string[]): Write[] {
  const bytes = db.get(aliasKey(entry, index));
  const known = bytes === undefined ? [] : decodePaths(bytes);
  if (known.some((one) => one.join('/') === path.join('/'))) return [];
  return [
    put(aliasKey(entry, index), encodePaths([...known, path])),
    ...(hasLongName(path) ? [put(longNamesKey(entry), NOTHING)] : []),
  ];
}

/** Checks all aliases before the first is made. */
async function checkAliases(tree: Tree, root: number, aliases: readonly Alias[]): Promise<void> {
  /** By path: the inode that it will lead to, or 0 for a folder that will be made. */
  const wanted = new Map<string, number>();
  for (const [i, { ino, path }] of aliases.entries()) {
    checkPath(path, 'CLIENT');
    let parent: number | undefined = root;
    for (const [depth, name] of path.entries()) {
      const last = depth === path.length - 1;
      const shown = path.slice(0, depth + 1).join('/');
      const found: { ino: number; type: string } | undefined =
        parent === undefined ? undefined : tree.lookup(parent, name);
      const taken = wanted.get(shown) ?? (found?.type === 'directory' ? 0 : found?.ino);
      if (taken !== undefined && taken !== (last ? ino : 0)) {
        throw new AutotorrentError('CONFLICT', `two files would be ${JSON.stringify(shown)} for this client`, {
          hint: 'The client changes the names of this torrent so that they collide; use another client for it.',
        });
      }
      wanted.set(shown, last ? ino : 0);
      parent = found?.ino;
    }
    if (i % SLICE === SLICE - 1) await new Promise(setImmediate);
  }
}
