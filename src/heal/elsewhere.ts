/** Proposes where a file that is not at its place may be now, the cheapest question first. */
import type { CollectionFile, CollectionIndex } from '../collection/index.ts';
import { folderOf } from '../source/paths.ts';
import type { HealRecord } from './case.ts';
import { type Folders, joined } from './folders.ts';
import type { Moves } from './moves.ts';
import type { Sight } from './sight.ts';

/** `means`: a phrase for the story, such as `by its handle`. */
export interface Proposal {
  readonly path: Buffer;
  readonly means: string;
}

export interface ElsewhereTools {
  readonly sight: Sight;
  readonly moves: Moves;
  readonly folders: Folders;
  /** Undefined: there is no index. */
  readonly index: () => Promise<CollectionIndex | undefined>;
}

/** Answers of the index for one size. */
const MOST_OF_SIZE = 64;
const SLASH = 0x2f;

/** Gives each path once, never the record's own. */
export async function* elsewhere(record: HealRecord, tools: ElsewhereTools): AsyncGenerator<Proposal, void, undefined> {
  const given = new Set([record.path.toString('latin1')]);
  for await (const proposal of allProposals(record, tools)) {
    const key = proposal.path.toString('latin1');
    if (given.has(key)) continue;
    given.add(key);
    yield proposal;
  }
}

async function* allProposals(record: HealRecord, tools: ElsewhereTools): AsyncGenerator<Proposal, void, undefined> {
  const { sight, moves, folders } = tools;
  const { path, size, mtimeNs } = record;
  const mounted = (record.disk === undefined ? undefined : (await sight.disks.disksMounted()).get(record.disk)) ?? [];
  if (record.handle !== undefined) {
    for (const mount of mounted) {
      const found = await sight.disks.pathOfHandle(record.handle, mount);
      if (found !== undefined) yield { path: found, means: 'by its handle' };
    }
  }
  for (const proposed of moves.proposals(path)) yield { path: proposed, means: 'where its folder went' };
  // A disk that is mounted at another place now, and a file that was moved to another disk.
  for (const root of [...mounted, ...disksOf(sight)]) {
    for (const rest of endsOf(path)) yield { path: joined(root, rest), means: 'at the same place of a disk' };
  }
  yield* indexed(record, tools);
  for (const proposed of folders.beside(path)) yield { path: proposed, means: 'in a folder beside the old one' };
  const means = 'in a folder near the old one';
  for (const folder of folders.around(path)) {
    for (const like of folders.filesLike(folder, size, mtimeNs)) yield { path: like, means };
  }
  for (const proposed of moves.proposals(path)) {
    for (const like of folders.filesLike(folderOf(proposed), size, mtimeNs)) yield { path: like, means };
  }
  for (const root of disksOf(sight)) {
    for (const rest of ['', ...endsOf(folderOf(path))]) {
      const folder = rest === '' ? root : joined(root, rest as Buffer);
      for (const like of folders.filesLike(folder, size, mtimeNs)) yield { path: like, means: 'on another disk' };
    }
  }
}

async function* indexed(record: HealRecord, { index }: ElsewhereTools): AsyncGenerator<Proposal, void, undefined> {
  const asked = await index();
  if (asked === undefined || record.size === 0) return;
  const { path, size } = record;
  const name = path.subarray(path.lastIndexOf(SLASH) + 1);
  const [named = []] = await asked.byNameAndSize([{ name: name.toString(), size }]);
  const [sized = []] = await asked.bySize([{ min: size, max: size, near: size, limit: MOST_OF_SIZE }]);
  for (const file of [...byLikeness(path, named), ...byLikeness(path, sized)])
    yield { path: file.path, means: 'by the index' };
  // A copy that was indexed while it grew: that changed no folder, so no rebuild has seen its size since.
  const [grown = []] = await asked.byName([{ name: name.toString(), min: 0, max: size - 1 }]);
  for (const file of byLikeness(path, grown).slice(0, MOST_OF_SIZE)) yield { path: file.path, means: 'by the index' };
}

/** Orders files by the length of the end that their paths have in common with `path`. */
function byLikeness(path: Buffer, files: readonly CollectionFile[]): CollectionFile[] {
  return files.toSorted((a, b) => commonEnd(path, b.path) - commonEnd(path, a.path));
}

function commonEnd(a: Buffer, b: Buffer): number {
  let length = 0;
  while (length < a.length && length < b.length && a[a.length - 1 - length] === b[b.length - 1 - length]) length++;
  return length;
}

function disksOf({ access }: Sight): Buffer[] {
  return access.rules.disks.map((disk) => Buffer.from(disk as string));
}

/** Lists the ends of a path, the longest first: `/a/b/c` gives `a/b/c`, `b/c` and `c`. */
function endsOf(path: Buffer): Buffer[] {
  const ends: Buffer[] = [];
  for (let at = path.indexOf(SLASH); at >= 0; at = path.indexOf(SLASH, at + 1)) {
    const end = path.subarray(at + 1);
    if (end.length > 0) ends.push(end);
  }
  return ends;
}
