/**
 * Disks that the user unmounts while the server runs: every descriptor on them is closed and none is opened, until they
 * are mounted again (docs/sources.md, "Letting go of a disk").
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Released } from '../control/served.ts';
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { isAtOrBelow, readMounts } from '../native/mountinfo.ts';
import type { ConditionFound } from '../source/condition.ts';
import { descriptorsBelow } from './descriptors-below.ts';
import { runningChildren } from './processes/start-child.ts';

export interface ReleaseParts {
  readonly store: {
    source(id: number): { readonly disk?: string | undefined } | undefined;
    readonly living: {
      sourcesBelow(folder: Buffer): AsyncIterable<readonly { readonly id: number }[]>;
      setCondition(id: number, found: ConditionFound): unknown;
    };
  };
  /** Closes the files for which `isReleased` holds, and opens no such file until it is called with another function. */
  readonly letGo: (isReleased: (path: Buffer) => boolean) => void;
  readonly logger: Logger;
}

interface Release {
  readonly mountPoints: readonly Buffer[];
  /** The mount points, and folders that lead to them by a link. */
  readonly folders: readonly Buffer[];
  /** It was seen to be unmounted. */
  away: boolean;
}

/** The mount table is looked at so often until the disk was seen to be away: a script mounts it again at once. */
const LOOK_MS = 20;
/** And so often from then on. */
const AWAY_MS = 200;
/** The longest wait for reads that have begun, and then for children that were told to end. */
const CLOSING_MS = 3000;
const PAUSE_MS = 50;

export class Releases {
  readonly #parts: ReleaseParts;
  #released: readonly Release[] = [];
  readonly #closing = new AbortController();
  #watching: Promise<void> | undefined;

  constructor(parts: ReleaseParts) {
    this.#parts = parts;
  }

  /** Tells whether a file lies on a disk that was released. */
  readonly holds = (path: Buffer): boolean =>
    this.#released.some(({ folders }) => folders.some((folder) => isAtOrBelow(path, folder)));

  /** Lets go of a disk. `links`: folders that lead to it by a link. */
  async release(mountPoints: readonly Buffer[], links: readonly Buffer[]): Promise<Released> {
    const { store, letGo, logger } = this.#parts;
    const release: Release = { mountPoints, folders: [...mountPoints, ...links], away: false };
    // From now on nothing is opened there.
    this.#released = [...this.#released.filter((one) => !isSame(one, release)), release];
    letGo(this.holds);
    let sources = 0;
    for (const folder of release.folders) {
      for await (const page of store.living.sourcesBelow(folder)) {
        for (const { id } of page) {
          const disk = store.source(id)?.disk;
          const reason = 'lies on a disk that was released';
          store.living.setCondition(id, { state: 'waiting', reason, ...(disk === undefined ? {} : { disk }) });
          sources++;
        }
      }
    }
    const open = await this.#closed(mountPoints);
    this.#watching ??= this.#watch();
    logger.info(`${shown(release)} is released: ${sources} source(s) wait until it is mounted again`);
    return { mountPoints, sources, open };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#watching;
  }

  /** Waits until nothing on the disk is open, here and in the children. Returns the number of files that still are. */
  async #closed(mountPoints: readonly Buffer[]): Promise<number> {
    const end = performance.now() + 2 * CLOSING_MS;
    let ended = false;
    for (;;) {
      // An opening that had begun may have ended since.
      this.#parts.letGo(this.holds);
      const children = runningChildren();
      let open = await descriptorsBelow('self', mountPoints);
      for (const child of children) {
        const theirs = await descriptorsBelow(String(child.pid ?? 0), mountPoints);
        open += theirs;
        // What they do goes on later, as after a crash.
        if (theirs > 0 && performance.now() > end - CLOSING_MS && !ended) child.kill('SIGKILL');
      }
      ended ||= performance.now() > end - CLOSING_MS;
      if (open === 0 || performance.now() > end) return open;
      await sleep(PAUSE_MS);
    }
  }

  /** Waits until each disk was unmounted and is mounted again. Never rejects. */
  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    while (this.#released.length > 0 && !signal.aborted) {
      const pause = this.#released.every(({ away }) => away) ? AWAY_MS : LOOK_MS;
      await sleep(pause, undefined, { signal, ref: false }).catch(() => {});
      try {
        if (!signal.aborted) await this.#look();
      } catch (error) {
        this.#parts.logger.warn(`disks that were released cannot be looked for: ${messageOf(error)}`);
      }
    }
    this.#watching = undefined;
  }

  async #look(): Promise<void> {
    const mounted = new Set((await readMounts()).map(({ path }) => path.toString('latin1')));
    for (const release of this.#released) {
      const isThere = release.mountPoints.some((path) => mounted.has(path.toString('latin1')));
      if (!isThere) release.away = true;
      else if (release.away) {
        this.#released = this.#released.filter((one) => one !== release);
        this.#parts.letGo(this.holds);
        this.#parts.logger.info(`${shown(release)} is mounted again`);
      }
    }
  }
}

const shown = ({ mountPoints }: Release): string => mountPoints.map((path) => path.toString()).join(', ');

function isSame(one: Release, other: Release): boolean {
  const key = ({ mountPoints }: Release): string =>
    mountPoints
      .map((path) => path.toString('latin1'))
      .toSorted()
      .join('\n');
  return key(one) === key(other);
}
