/** Lists the stored files inside a folder's archives, in a walk worker. */

import { ArchiveFiles, type VolumeFile, volumesAfter } from '../../container/archive-files.ts';
import { isFirstVolume } from '../../container/volume-names.ts';
import { errnoOf } from '../../errors.ts';
import type { SourceAccess } from '../../source/source-access.ts';
import type { MemberContent } from './folder-record.ts';
import { type MemberBudget, OVER_REBUILD } from './member-budget.ts';

/** The most members of one folder's archives: a folder's record is in memory as a whole. */
const MAX_MEMBERS = 100_000;

/** What is said of archives that are left out, or read in part. */
const OVER_FOLDER = `more than ${MAX_MEMBERS} files in the archives of a folder`;
const CUT_SHORT = 'archive read in part: it has too many or too distant headers';

/** Bytes of an empty ZIP. */
const SMALLEST = 22;

/** Names are byte strings; `base` is the folder's real path with a slash at its end. */
export interface FolderFiles {
  readonly base: string;
  readonly fileNames: readonly string[];
  readonly sizes: readonly number[];
}

/**
 * Recognises archives by the names of their first volumes. Other content is no error; an archive that cannot be read, or only in
 * part, or for which `budget` has no room, is reported to `skip`. Files of 0 bytes are left out: they need no source.
 */
export function readMembers(
  folder: FolderFiles,
  {
    access,
    budget,
    isStopped,
  }: { readonly access: SourceAccess; readonly budget: MemberBudget; readonly isStopped: () => boolean },
  skip: (reason: string, name: string) => void,
): MemberContent[] {
  const { base, fileNames, sizes } = folder;
  const members: MemberContent[] = [];
  let sizeOf: Map<string, number> | undefined;
  const volume = (name: string, size: number): VolumeFile => ({
    size,
    // Most volumes are never opened.
    get path() {
      return Buffer.from(base + name, 'latin1');
    },
  });
  for (const [file, first] of fileNames.entries()) {
    if (isStopped()) break;
    const firstSize = sizes[file] ?? 0;
    if (firstSize < SMALLEST || !isFirstVolume(first)) continue;
    if (members.length >= MAX_MEMBERS || budget.spent) {
      skip(budget.spent ? OVER_REBUILD : OVER_FOLDER, first);
      continue;
    }
    const files = new ArchiveFiles(
      volume(first, firstSize),
      () => {
        const known = (sizeOf ??= new Map(fileNames.map((name, i) => [name, sizes[i] ?? 0])));
        return volumesAfter(first, (name) => known.has(name)).map((name) => volume(name, known.get(name) ?? 0));
      },
      access,
    );
    try {
      const usable = (files.archive()?.members ?? []).filter(
        ({ unusable, size }) => unusable === undefined && size > 0,
      );
      if (files.cutShort) skip(CUT_SHORT, first);
      if (members.length + usable.length > MAX_MEMBERS) skip(OVER_FOLDER, first);
      const some = usable.slice(0, MAX_MEMBERS - members.length);
      const names = some.reduce((sum, { name }) => sum + name.length, 0);
      if (!budget.takeMembers(some.length, names)) skip(OVER_REBUILD, first);
      else for (const { name, size } of some) members.push({ file, name: name.toString('latin1'), size });
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      skip('archive not readable', first);
    } finally {
      budget.takeReads(files.reads);
      files.close();
    }
  }
  return members;
}
