/** Suggests shifts for a candidate on a disk. */
import { errnoOf } from '../errors.ts';
import type { SourceAccess } from '../source/source-access.ts';
import { ArchiveFiles, type VolumeFile } from './archive-files.ts';
import { HeaderReader } from './container.ts';
import { describePayload, shiftHypotheses } from './payload.ts';

/** The `shiftHypotheses` of a file. None for a file of an unknown kind, or one that cannot be read. */
export function shiftsOfFile(file: VolumeFile, wantedLength: number, access: SourceAccess): number[] {
  const files = new ArchiveFiles(file, () => [], access);
  try {
    const payload = describePayload(new HeaderReader(files, 0));
    return payload === undefined ? [] : shiftHypotheses(payload, wantedLength);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return [];
  } finally {
    files.close();
  }
}
