/**
 * Adding a batch of torrents, the same for every client: what the client has already stays as it is, what fails is
 * removed again, and a batch that breaks off leaves nothing behind.
 *
 * An adapter writes the steps for its client (`AddSteps`); `addAll` has their order, and decides what is removed.
 */
import type { AutotorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import type { AddRequest, AddResult } from '../client.ts';
import type { Adding } from './adding.ts';

/** Each step throws where the client cannot be talked to; what befalls one torrent alone becomes its result. */
export interface AddSteps<A extends Adding> {
  /** Why the client cannot seed the torrent, known before it is asked; undefined where it can. */
  unsupported?(metainfo: Metainfo): AutotorrentError | undefined;
  /** The info hashes of those that the client has already. */
  present(all: readonly A[]): Promise<ReadonlySet<string>>;
  /** Sends each to the client, stopped; calls `sent` of it before. Those that fail or exist have their result then. */
  load(all: readonly A[]): Promise<void>;
  /** Sets directory and label of what was loaded, checks that they took, reads the names: each has its result then. */
  settle(all: readonly A[]): Promise<void>;
  /** Removes from the client what it has of these from us. */
  discard(all: readonly A[]): Promise<void>;
}

/** One result each, in their order. @throws AutotorrentError('CLIENT') where the client cannot be talked to */
export async function addAll<A extends Adding>(all: readonly A[], steps: AddSteps<A>): Promise<AddResult[]> {
  const pending = (): A[] => all.filter(({ result }) => result === undefined);
  for (const adding of all) {
    const error = steps.unsupported?.(adding.metainfo);
    if (error !== undefined) adding.refused(error);
  }
  const present = await steps.present(pending());
  for (const adding of pending()) if (present.has(adding.metainfo.infoHash)) adding.exists();
  try {
    if (pending().length > 0) await steps.load(pending());
    if (pending().length > 0) await steps.settle(pending());
  } catch (error) {
    await discard(
      all.filter(({ mayBeThere }) => mayBeThere),
      steps,
    );
    throw error;
  }
  await discard(
    all.filter(({ mayBeThere, result }) => mayBeThere && result?.outcome !== 'added'),
    steps,
  );
  return all.map(({ result, metainfo }) => {
    if (result === undefined) throw new Error(`nobody said what became of ${metainfo.infoHash}`);
    return result;
  });
}

async function discard<A extends Adding>(all: readonly A[], steps: AddSteps<A>): Promise<void> {
  if (all.length === 0) return;
  try {
    await steps.discard(all);
  } catch {
    // The client could not be reached a second time: the first error says more.
  }
}

/** The info hashes of torrents that the client looks for under names of its own. */
export function renamedAmong(requests: readonly AddRequest[], results: readonly AddResult[]): string[] {
  return requests
    .filter((_, i) => {
      const result = results[i];
      return result?.outcome === 'added' && result.names !== undefined;
    })
    .map(({ metainfo }) => metainfo.infoHash);
}
