/**
 * Names, for files that end missing, what has the right name and cannot be used, with why. The index is asked about these files
 * alone, in one batch.
 */
import { closeSync } from 'node:fs';
import type { CollectionIndex, LeftOutCode, LeftOutFile } from '../collection/index.ts';
import type { DifferenceCode } from '../source/identity.ts';
import type { Looker } from './look.ts';
import type { FileTask } from './torrent-task.ts';

/** Files of one torrent that are asked about: one that lacks more of them is no near miss. */
const MOST_ASKED = 10_000;
/** Answers for one file. */
const MOST_NAMED = 4;

export type UnusableCode = LeftOutCode | 'disk-away';

/** The clause about a file, after its path. */
const SAYS: Readonly<Record<UnusableCode, string>> = {
  ignored: 'has its name and size, but ignore_files leaves it out',
  growing: 'has its name, but was still being written at the last rebuild',
  link: 'has its name, but is a symbolic link, and those are not followed',
  unreadable: 'has its name, but may not be read',
  'disk-away': 'lies on a disk that is away',
};

/** What a look at a candidate says of it, in the codes of decisions. */
export function refusalCode(code: DifferenceCode): 'changed' | 'unreadable' | 'link' {
  if (code === 'unreadable') return 'unreadable';
  return code === 'redirected' ? 'link' : 'changed';
}

/** Adds to the refused candidates and the reasons of `files`, which nothing supplies. */
export async function nameUnusable(
  files: readonly FileTask[],
  { index, looker }: { readonly index: CollectionIndex; readonly looker: Looker },
): Promise<void> {
  const asked = files.slice(0, MOST_ASKED);
  if (asked.length === 0) return;
  for (const file of asked) noteUnreadable(file, looker);
  await noteAway(asked, index);
  const answers = await index.leftOut(
    asked.map(({ name, file: { length } }) => ({ name, min: length, max: length, limit: MOST_NAMED })),
  );
  for (const [i, file] of asked.entries()) {
    const found = answers[i] ?? [];
    for (const { path, code } of found) file.refuse(path, code);
    explain(file, found);
  }
}

/** Candidates of which nothing could be hashed may be files that this user may not open. */
function noteUnreadable(task: FileTask, looker: Looker): void {
  if (!task.hasRefused) return;
  for (const { source, code } of task.refused(new Set()).slice(0, MOST_NAMED)) {
    if (code !== 'hash-mismatch' && code !== 'changed') continue;
    const looked = looker.known(source);
    if (looked === undefined || 'refused' in looked) continue;
    const opened = looker.open(looked);
    if (opened.state === 'as recorded') closeSync(opened.fd);
    else if (opened.state === 'absent' && opened.why.code === 'unreadable') task.refuse(source, 'unreadable');
  }
}

/** What is not where the index has it may lie on a disk that is away. */
async function noteAway(files: readonly FileTask[], index: CollectionIndex): Promise<void> {
  const gone = files.flatMap((task) =>
    (task.hasRefused ? task.refused(new Set()) : []).flatMap(({ source, code }) =>
      code === 'changed' ? [{ task, source }] : [],
    ),
  );
  if (gone.length === 0) return;
  const disks = await index.awayDisks(gone.map(({ source }) => source));
  for (const [i, { task, source }] of gone.entries()) {
    if ((disks[i] ?? null) !== null) task.refuse(source, 'disk-away');
  }
}

function explain(task: FileTask, found: readonly LeftOutFile[]): void {
  if (!task.hasRefused) return;
  const refused = task.refused(new Set());
  const unusable = refused.find(isUnusable);
  const before = task.failure ?? { code: 'no-candidate', reason: 'No file has its name and size.' };
  // The failure may be that very file's.
  if (unusable === undefined || isUnusable(before)) return;
  const { code, source } = unusable;
  const more = found.length > 1 ? `, as ${found.length - 1} more` : '';
  const why = `${source.toString()} ${SAYS[code]}${more}.`;
  const saysLittle = before.code === 'no-candidate' || refused.every(isUnusable);
  task.failure =
    saysLittle && before.code !== 'not-in-release'
      ? { code, reason: why }
      : { ...before, reason: `${before.reason} ${why}` };
}

function isUnusable<T extends { readonly code: string }>(it: T): it is T & { readonly code: UnusableCode } {
  return Object.hasOwn(SAYS, it.code);
}
