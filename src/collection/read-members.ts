/** The stored files inside a folder's archives, in a walk worker. */
import { ArchiveFiles, volumesOf } from '../container/archive-files.ts';
import { isFirstVolume } from '../container/volume-names.ts';
import { errnoOf } from '../errors.ts';
import type { MemberContent } from './folder-record.ts';

/** Members of one folder's archives: a folder's record is held in memory as a whole. */
const MAX_MEMBERS = 100_000;

/** Bytes: a ZIP of nothing. */
const SMALLEST = 22;

/** Names are byte strings; `base` is the folder's path with a slash at its end. */
export interface FolderFiles {
  readonly base: string;
  readonly fileNames: readonly string[];
  readonly sizes: readonly number[];
}

/**
 * Archives are told by the names of their first volumes. One of another content is no error; one that cannot be read is
 * told to `skip`. Files of 0 bytes are left out: they need no source.
 */
export function readMembers(folder: FolderFiles, skip: (reason: string, name: string) => void): MemberContent[] {
  const { base, fileNames, sizes } = folder;
  const members: MemberContent[] = [];
  let byName: Map<string, number> | undefined;
  for (const [file, first] of fileNames.entries()) {
    if (!isFirstVolume(first) || (sizes[file] ?? 0) < SMALLEST) continue;
    byName ??= new Map(fileNames.map((name, i) => [name, sizes[i] ?? 0]));
    const known = byName;
    const volumes = volumesOf(first, (name) => known.has(name)).map((name) => ({
      path: Buffer.from(base + name, 'latin1'),
      size: known.get(name) ?? 0,
    }));
    const files = new ArchiveFiles(volumes);
    try {
      for (const { name, size, unusable } of files.archive()?.members ?? []) {
        if (unusable !== undefined || size === 0) continue;
        if (members.length === MAX_MEMBERS) return members;
        members.push({ file, name: name.toString('latin1'), size });
      }
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      skip('archive not readable', first);
    } finally {
      files.close();
    }
  }
  return members;
}
