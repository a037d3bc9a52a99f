/** What the proof of a piece comes to, and what all ways to one need. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SourceFiles } from '../../source/served-sources.ts';
import type { SourceFile } from '../../source/source-file.ts';
import type { HashedPiece } from './hash-parts.ts';
import type { PieceBuffers } from './piece-buffers.ts';
import type { ProvingStore } from './proving.ts';
import type { HashThreads } from './threads.ts';

/** Milliseconds: a second change within a tick of the kernel's clock leaves the ctime as the first one made it. */
const TICK_MS = 20;

export type Proof =
  /** `bytes`: the piece. Undefined: it is proven, and must be read. */
  | { readonly state: 'proven'; readonly bytes: Buffer | undefined }
  /** Some bytes of it are nowhere. */
  | { readonly state: 'as it is' }
  | { readonly state: 'failed'; readonly reason: string; readonly sources: ReadonlySet<number> };

export interface ProofTools {
  readonly store: ProvingStore;
  readonly sources: SourceFiles;
  readonly threads: HashThreads;
  readonly buffers: PieceBuffers;
  readonly onHashed: () => void;
}

/** Finds the file that serves a source, once a further change of it would show. @throws EIO */
export async function servedForProof(find: () => Promise<SourceFile>): Promise<SourceFile> {
  for (;;) {
    const file = await find();
    const ms = msOfTick(file);
    if (ms === 0) return file;
    await sleep(ms);
  }
}

/** Milliseconds until a further change of a file, which was looked at just now, gives it another ctime. Other hosts have other clocks. */
function msOfTick({ local, identity: { ctimeNs } }: SourceFile): number {
  const age = local && ctimeNs !== undefined ? Date.now() - Number(ctimeNs / 1_000_000n) : TICK_MS;
  return age < 0 ? 0 : Math.max(0, TICK_MS - age);
}

/** The proof of a piece whose hashes agree. It is recorded if it says something of the files that its sources have now. */
export function proofOf(
  { store: { living } }: Pick<ProofTools, 'store'>,
  { entry, piece }: { readonly entry: number; readonly piece: number },
  { bytes, changed, files, doubt }: Pick<HashedPiece, 'bytes' | 'changed' | 'files' | 'doubt'>,
): Proof {
  const own = [...files].every(([id, file]) => file.id === id);
  const isStable = changed.size === 0 && own;
  if (isStable && doubt > 0 && [...files].every(([id, file]) => isDoubted(living, id, file))) {
    living.prove(entry, piece, doubt);
  }
  if (bytes !== undefined || isStable) return { state: 'proven', bytes };
  // Too large to be kept, and not the same any more.
  return { state: 'failed', reason: 'a source changed while it was read', sources: new Set(files.keys()) };
}

/**
 * Reports whether an open file is the one that the source's condition is about: a file that was replaced is read on by its
 * descriptor, and proves nothing of the one that lies at its path by now.
 */
function isDoubted(living: ProvingStore['living'], id: number, file: SourceFile): boolean {
  const condition = living.condition(id);
  if (condition === undefined) return true;
  return condition.observed !== undefined && file.wasObserved(condition.observed);
}
