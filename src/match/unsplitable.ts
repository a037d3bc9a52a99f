/**
 * The `unsplitable` mode takes the files of a release only from a folder that is that release. A file that it refuses for its folder
 * alone is offered to the pieces by `normal`.
 *
 * A folder is that release if it has the release's name, or if it has another name and everything that matters is in it.
 * Folders are found by name, and by the release's largest files, above which its folder must be.
 */
import type { CollectionFile, CollectionIndex, FolderTree } from '../collection/index.ts';
import { normaliseName } from '../collection/names.ts';
import { components } from './likeness.ts';
import { askByNameAndSize, questionKey } from './normal.ts';
import { type ReleaseMember, releasesOf, type TorrentRelease } from './torrent-releases.ts';
import type { FileTask, TorrentTask } from './torrent-task.ts';

/** Files by which a release under another name is searched for. */
const ANCHORS = 2;
/** Folders considered for one release. If more hold a file of that name and size, the file says nothing. */
const MAX_FOLDERS = 64;

interface Copy {
  readonly root: Buffer;
  readonly sameName: boolean;
  readonly files: ReadonlyMap<ReleaseMember, CollectionFile>;
  readonly foundBytes: number;
  /** True if every required file is there. */
  readonly whole: boolean;
}

/** Proposes candidates. Gives the files of releases, which `normal` may match only where pieces are hashed. */
export async function proposeUnsplitable(
  torrents: readonly TorrentTask[],
  unsettled: (file: FileTask) => boolean,
  index: CollectionIndex,
): Promise<Set<FileTask>> {
  const releases = torrents.flatMap(releasesOf);
  const kept = new Set(releases.flatMap(({ members }) => members.map(({ task }) => task)));
  const wanted = releases.filter(({ members }) => members.some(({ task }) => unsettled(task)));
  if (wanted.length === 0) return kept;

  const named = wanted.flatMap(({ name }) => name ?? []);
  const answers = new Map((await index.releases(named)).map((found, i) => [named[i], found]));
  const anchors = wanted.map(anchorsOf);
  const byAnchor = await askByNameAndSize(anchors.flat(), index);
  const folders = wanted.map((release, i) => {
    const ids = new Set(
      ((release.name === undefined ? undefined : answers.get(release.name)) ?? []).map(({ id }) => id),
    );
    for (const anchor of anchors[i] ?? []) {
      for (const { release } of byAnchor.get(questionKey(anchor)) ?? []) {
        if (release !== null && ids.size < MAX_FOLDERS) ids.add(release);
      }
    }
    return ids;
  });
  const ids = [...new Set(folders.flatMap((set) => [...set]))];
  const trees = new Map(ids.length === 0 ? [] : (await index.trees(ids)).map((tree) => [tree.root.id, tree]));
  const contents = new Map<FolderTree, ReadonlyMap<string, CollectionFile[]>>();

  const nowhere: { release: TorrentRelease; roots: ReadonlySet<string> }[] = [];
  for (const [i, release] of wanted.entries()) {
    const copies: Copy[] = [];
    for (const id of folders[i] ?? []) {
      const tree = trees.get(id);
      if (tree === undefined) continue;
      const files = contents.get(tree) ?? contentsOf(tree);
      contents.set(tree, files);
      copies.push(
        copyIn(tree.root.path, release, normaliseName(tree.name) === release.name, (key) => files.get(key) ?? []),
      );
    }
    if (propose(copies)) continue;
    const found = (anchors[i] ?? []).flatMap((anchor) =>
      (byAnchor.get(questionKey(anchor)) ?? []).flatMap((file) => rootAbove(file, anchor, release) ?? []),
    );
    nowhere.push({ release, roots: new Set(found.slice(0, MAX_FOLDERS)) });
  }
  await proposeUnmarked(nowhere, index);
  for (const { task } of wanted.flatMap(({ members }) => members)) {
    if (task.queue.length > 0) continue;
    task.failure ??= { code: 'not-in-release', reason: 'No folder of the collection is its release and has it.' };
  }
  return kept;
}

/**
 * Finds copies that the index does not know as releases, because they lack the mark of one (the .sfv of an album). All
 * required files must be in them.
 */
async function proposeUnmarked(
  nowhere: readonly { readonly release: TorrentRelease; readonly roots: ReadonlySet<string> }[],
  index: CollectionIndex,
): Promise<void> {
  const asked = nowhere.filter(({ roots }) => roots.size > 0);
  if (asked.length === 0) return;
  const tasks = asked.flatMap(({ release }) => release.members.map(({ task }) => task));
  const answers = await askByNameAndSize(tasks, index);
  for (const { release, roots } of asked) {
    const byRoot = new Map<string, Map<string, CollectionFile[]>>();
    for (const { task, relative } of release.members) {
      for (const file of answers.get(questionKey(task)) ?? []) {
        const root = rootAbove(file, task, release);
        if (root === undefined || !roots.has(root)) continue;
        const files = byRoot.get(root) ?? new Map<string, CollectionFile[]>();
        byRoot.set(root, files);
        const key = `${file.size}/${relative}`;
        files.set(key, [...(files.get(key) ?? []), file]);
      }
    }
    propose(
      [...byRoot].map(([root, files]) =>
        copyIn(Buffer.from(root, 'latin1'), release, false, (key) => files.get(key) ?? []),
      ),
    );
  }
}

function propose(copies: readonly Copy[]): boolean {
  const good = copies
    .filter(({ whole, sameName, foundBytes }) => whole || (sameName && foundBytes > 0))
    .toSorted(
      (a, b) =>
        Number(b.whole) - Number(a.whole) ||
        b.foundBytes - a.foundBytes ||
        Number(b.sameName) - Number(a.sameName) ||
        Buffer.compare(a.root, b.root),
    );
  for (const { files } of good) {
    for (const [{ task }, file] of files) task.propose({ file, mode: 'unsplitable' });
  }
  return good.length > 0;
}

function copyIn(
  root: Buffer,
  release: TorrentRelease,
  sameName: boolean,
  filesAt: (key: string) => readonly CollectionFile[],
): Copy {
  const files = new Map<ReleaseMember, CollectionFile>();
  let foundBytes = 0;
  let whole = true;
  for (const member of release.members) {
    const { length, rawPath } = member.task.file;
    const name = rawPath.at(-1);
    const same = filesAt(`${length}/${member.relative}`);
    const found = same.find((file) => name !== undefined && file.name.equals(name)) ?? same[0];
    if (found === undefined) whole &&= member.dispensable;
    else {
      files.set(member, found);
      foundBytes += length;
    }
  }
  // A folder with nothing but nfo and sample is no copy.
  return {
    root,
    sameName,
    files,
    foundBytes,
    whole: whole && [...files.keys()].some(({ dispensable }) => !dispensable),
  };
}

/** Keys files by size and normalised path below the root. */
function contentsOf(tree: FolderTree): ReadonlyMap<string, CollectionFile[]> {
  const contents = new Map<string, CollectionFile[]>();
  for (const { file, relative } of tree.files) {
    const key = `${file.size}/${relative.map(normaliseName).join('/')}`;
    const same = contents.get(key);
    if (same === undefined) contents.set(key, [file]);
    else same.push(file);
  }
  return contents;
}

/** Picks the largest required files. Those whose size is unique in the release come first: they tell more. */
function anchorsOf({ members }: TorrentRelease): FileTask[] {
  const sizes = new Map<number, number>();
  for (const { task } of members) sizes.set(task.file.length, (sizes.get(task.file.length) ?? 0) + 1);
  return members
    .filter(({ dispensable }) => !dispensable)
    .map(({ task }) => task)
    .toSorted(
      (a, b) =>
        Number(sizes.get(a.file.length) !== 1) - Number(sizes.get(b.file.length) !== 1) ||
        b.file.length - a.file.length,
    )
    .slice(0, ANCHORS);
}

/** Finds the folder (as latin1) that would be the release's if `file` were `task`'s. Undefined if there is none. */
function rootAbove(file: CollectionFile, task: FileTask, { byTask }: TorrentRelease): string | undefined {
  const relative = byTask.get(task)?.relative.split('/') ?? [];
  const path = components(file.path);
  const root = path.slice(0, path.length - relative.length);
  const below = path.slice(root.length);
  if (below.length !== relative.length || below.some((name, i) => normaliseName(name) !== relative[i]))
    return undefined;
  return root.map((name) => name.toString('latin1')).join('/');
}
