/** Lists the stored files inside a folder's archives, in a walk worker. */

import { ArchiveFiles, type VolumeFile, volumesAfter } from '../../container/archive-files.ts';
import { isFirstVolume } from '../../container/volume-names.ts';
import { errnoOf } from '../../errors.ts';
import { OwnMounts } from '../../source/own-mounts.ts';
import type { MemberContent } from './folder-record.ts';

/** The most members of one folder's archives: a folder's record is in memory as a whole. */
const MAX_MEMBERS = 100_000;

/** Bytes of an empty ZIP. */
const SMALLEST = 22;

/** Names are byte strings; `base` is the folder's path with a slash at its end. */
export interface FolderFiles {
  readonly base: string;
  readonly fileNames: readonly string[];
  readonly sizes: readonly number[];
}

/**
 * Recognises archives by the names of their first volumes. Other content is no error; an archive that cannot be read is
 * reported to `skip`. Files of 0 bytes are left out: they need no source.
 */
export function readMembers(folder: FolderFiles, skip: (reason: string, name: string) => void): MemberContent[] {
  const { base, fileNames, sizes } = folder;
  const members: MemberContent[] = [];
  let sizeOf: Map<string, number> | undefined;
  const ownMounts = new OwnMounts();
  const volume = (name: string, size: number): VolumeFile => ({
    size,
    // Most volumes are never opened.
    get path() {
      return Buffer.from(base + name, 'latin1');
    },
  });
  for (const [file, first] of fileNames.entries()) {
    const firstSize = sizes[file] ?? 0;
    if (firstSize < SMALLEST || !isFirstVolume(first)) continue;
    const files = new ArchiveFiles(
      volume(first, firstSize),
      () => {
        const known = (sizeOf ??= new Map(fileNames.map((name, i) => [name, sizes[i] ?? 0])));
        return volumesAfter(first, (name) => known.has(name)).map((name) => volume(name, known.get(name) ?? 0));
      },
      ownMounts,
    );
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
