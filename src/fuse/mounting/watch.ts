/** Watches the mount table, since nothing else reports the end of a mount to the process that serves it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { AutotorrentError } from '../../errors.ts';
import { OUR_TYPE } from '../../native/mountinfo.ts';
import { mountsAt } from './mount-point.ts';

const WATCH_MS = 1000;
/** Milliseconds between looks once the mount is expected to go. */
const SOON_MS = 10;

export interface WatchedMount {
  /** Resolves when the mount has gone, whoever removed it. */
  readonly gone: Promise<void>;
  isGone(): Promise<boolean>;
  /** Reports that the mount was just removed: its end is noticed at once, not at the next look. */
  lookNow(): void;
}

/** Watches the mount just made on `mountPoint`. @throws AutotorrentError('MOUNT') if it is not in the mount table */
export async function watchMount(mountPoint: string): Promise<WatchedMount> {
  const mounted = (await mountsAt(mountPoint)).at(-1);
  if (mounted?.type !== OUR_TYPE) {
    throw new AutotorrentError('MOUNT', `${mountPoint} was mounted, and is not in the mount table`);
  }
  const isGone = async (): Promise<boolean> => !(await mountsAt(mountPoint)).some(({ dev }) => dev === mounted.dev);
  const expected = new AbortController();
  const wait = async (): Promise<void> => {
    while (!(await isGone().catch(() => false))) {
      const { signal } = expected;
      await (signal.aborted ? sleep(SOON_MS) : sleep(WATCH_MS, undefined, { signal })).catch(() => {});
    }
  };
  return { gone: wait(), isGone, lookNow: () => expected.abort() };
}
