/**
 * The `normal` mode finds candidates by name and size, the likeliest first.
 *
 * Where pieces are hashed, it takes them from anywhere, releases included: a file that `unsplitable` refuses for its folder alone is
 * offered to the pieces here.
 */
import type { CollectionFile, CollectionIndex } from '../collection/index.ts';
import { type FolderNames, type Rivals, rank } from './likeness.ts';
import type { Failure, FileTask, Proposal, TorrentTask } from './torrent-task.ts';

/**
 * Proposes candidates for `files`, of any torrents, with one batch of questions.
 * `keepReleases`: files of the collection's releases are no candidates (see `unsplitable.ts`), since nothing is hashed.
 */
export async function proposeNormal(
  files: readonly FileTask[],
  index: CollectionIndex,
  folders: FolderNames,
  keepReleases: boolean,
): Promise<void> {
  const answers = await askByNameAndSize(files, index);
  const byTorrent = new Map<TorrentTask, Map<string, FileTask[]>>();
  for (const file of files) {
    if (!answers.has(questionKey(file))) {
      if (isStillOpen(file)) file.failure = NOT_FOUND;
      continue;
    }
    const groups = byTorrent.get(file.torrent) ?? new Map<string, FileTask[]>();
    byTorrent.set(file.torrent, groups);
    const key = questionKey(file);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [file]);
    else group.push(file);
  }
  for (const groups of byTorrent.values()) {
    const rivals: Rivals[] = [];
    for (const [key, group] of groups) {
      const candidates = (answers.get(key) ?? []).filter((found) => !keepReleases || found.release === null);
      rivals.push({ files: group, candidates });
    }
    rank(rivals, folders, (file, first, later) => {
      if (first === undefined) {
        if (isStillOpen(file)) file.failure = NOT_FOUND;
      } else file.proposeRanked(asProposal(first), () => later().map(asProposal));
    });
  }
}

function asProposal(file: CollectionFile): Proposal {
  return { file, mode: 'normal' };
}

/** True unless a candidate has failed: being in no release is no reason any more. */
function isStillOpen({ failure }: FileTask): boolean {
  return failure === undefined || failure.code === 'not-in-release';
}

const NOT_FOUND: Failure = { code: 'no-candidate', reason: 'No file has its name and size.' };

/** Files that are asked about at once: a torrent may have a million, and most answers are empty. */
const ASKED_AT_ONCE = 16_384;

/**
 * Gives what is there of the files' names and sizes, by `questionKey`; nothing for files without a candidate. Asks equal
 * questions once: `poster.jpg` of one size may be in every torrent.
 */
export async function askByNameAndSize(
  files: readonly FileTask[],
  index: CollectionIndex,
): Promise<ReadonlyMap<string, readonly CollectionFile[]>> {
  const found = new Map<string, readonly CollectionFile[]>();
  for (let from = 0; from < files.length; from += ASKED_AT_ONCE) {
    const questions = new Map<string, { name: string; size: number }>();
    for (const file of files.slice(from, from + ASKED_AT_ONCE)) {
      const key = questionKey(file);
      if (!found.has(key)) questions.set(key, { name: file.name, size: file.file.length });
    }
    if (questions.size === 0) continue;
    const answers = await index.byNameAndSize([...questions.values()]);
    for (const [i, key] of [...questions.keys()].entries()) {
      const answer = answers[i] ?? [];
      if (answer.length > 0) found.set(key, answer);
    }
  }
  return found;
}

export function questionKey(file: FileTask): string {
  return `${file.file.length}/${file.name}`;
}
