/** Counts the bytes that only open descriptors lead to: their files were deleted, replaced, or moved out of sight. */
import type { Condition } from './condition.ts';
import { isSameContent, type RecordedSource } from './identity.ts';
import type { SourceFile } from './source-file.ts';

/** What is known of sources. */
export interface KnownConditions {
  condition(id: number): Condition | undefined;
}

type Open = Pick<SourceFile, 'id' | 'identity' | 'unlinked'> & { readonly record: Pick<RecordedSource, 'spares'> };

/** Looks at nothing: what earlier looks and the watch have found counts. In bytes. */
export function hangingBytes(files: Iterable<Open>, known: KnownConditions): number {
  let bytes = 0;
  for (const file of files) {
    if (isGone(file, known) && !file.record.spares.some((spare) => isThere(known.condition(spare)))) {
      bytes += file.identity.size;
    }
  }
  return bytes;
}

/** Tells if the path of a source does not lead to its open file any more. */
function isGone({ id, identity, unlinked }: Open, known: KnownConditions): boolean {
  if (unlinked) return true;
  const condition = known.condition(id);
  if (isThere(condition)) return false;
  // Pieces of a file that is in its place may have failed.
  return condition?.observed === undefined || !isSameContent(condition.observed, identity);
}

function isThere(condition: Condition | undefined): boolean {
  return condition === undefined || condition.state === 'doubted';
}
