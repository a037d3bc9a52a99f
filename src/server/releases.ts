/**
 * Disks that the user unmounts while the server runs: every descriptor on them is closed and none is opened, until they
 * are mounted again (docs/sources.md, "Letting go of a disk").
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Released } from '../control/served.ts';
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { readMounts } from '../native/mountinfo.ts';
import type { Unmounts } from '../native/unmounts.ts';
import type { ConditionFound } from '../source/condition.ts';
import type { ReleasedFolders } from '../source/released-folders.ts';
import { descriptorsBelow } from './descriptors-below.ts';
import { endSourceReaders, isRunning } from './processes/start-child.ts';

export interface ReleaseParts {
  readonly store: {
    source(id: number): { readonly disk?: string | undefined } | undefined;
    readonly living: {
      sourcesBelow(folder: Buffer): AsyncIterable<readonly { readonly id: number }[]>;
      condition(id: number): { readonly state: string } | undefined;
      setCondition(id: number, found: ConditionFound): unknown;
    };
  };
  /** The disks that are released and mounted: nothing on them is opened, looked at or listed. */
  readonly released: ReleasedFolders;
  /** Closes the sources on disks that are released. */
  readonly letGo: () => void;
  /** Has the watch of sources leave file systems. Resolves when it does nothing on them any more. */
  readonly leave: (mountPoints: readonly Buffer[]) => Promise<void>;
  /** Makes what tells that a file system was unmounted. Undefined: the mount table alone is looked at. */
  readonly unmounts: () => Unmounts | undefined;
  /** Called with the sources that wait for a disk which is mounted again, in pages. */
  readonly onBack: (ids: readonly number[]) => void;
  readonly logger: Logger;
}

interface Release {
  readonly mountPoints: readonly Buffer[];
  /** The mount points, and folders that lead to them by a link. */
  readonly folders: readonly Buffer[];
  /** Tells that it was unmounted, however briefly. */
  readonly unmounts: Unmounts | undefined;
  /** It was seen to be unmounted. */
  away: boolean;
}

/** The mount table is looked at so often until the disk was seen to be away: `unmounts` does not tell of each (containers). */
const LOOK_MS = 20;
/** And so often from then on. */
const AWAY_MS = 200;
/** The longest wait for what has begun on the disk. */
const CLOSING_MS = 6000;
const PAUSE_MS = 20;

export class Releases {
  readonly #parts: ReleaseParts;
  #released: readonly Release[] = [];
  readonly #closing = new AbortController();
  #watching: Promise<void> | undefined;
  /** Children that were ended when something was released. */
  #ending: ReturnType<typeof endSourceReaders> = [];

  constructor(parts: ReleaseParts) {
    this.#parts = parts;
  }

  /** Lets go of a disk. `links`: folders that lead to it by a link. */
  async release(mountPoints: readonly Buffer[], links: readonly Buffer[]): Promise<Released> {
    const { store, leave, logger } = this.#parts;
    const unmounts = this.#parts.unmounts();
    const release: Release = { mountPoints, folders: [...mountPoints, ...links], unmounts, away: false };
    // From now on nothing begins there.
    for (const one of this.#released) if (isSame(one, release)) this.#forget(one);
    this.#released = [...this.#released, release];
    this.#changed();
    let isLeft = false;
    void leave(mountPoints).finally(() => {
      isLeft = true;
    });
    for (const path of mountPoints) await unmounts?.add(path);
    let sources = 0;
    for (const folder of release.folders) {
      for await (const page of store.living.sourcesBelow(folder)) {
        for (const { id } of page) {
          // What is lost was looked for before.
          if (store.living.condition(id)?.state === 'lost') continue;
          const disk = store.source(id)?.disk;
          const reason = 'lies on a disk that was released';
          store.living.setCondition(id, { state: 'waiting', reason, ...(disk === undefined ? {} : { disk }) });
          sources++;
        }
      }
    }
    const open = await this.#left(release, () => isLeft);
    this.#watching ??= this.#watch();
    logger.info(`${shown(release)} is released: ${sources} source(s) wait until it is mounted again`);
    return { mountPoints, sources, open };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#watching;
    for (const one of this.#released) this.#forget(one);
  }

  #forget(release: Release): void {
    this.#released = this.#released.filter((one) => one !== release);
    release.unmounts?.close();
  }

  /** Another disk is released, or is not any more. Children that open sources are told when they start what is released. */
  #changed(): void {
    this.#note();
    this.#parts.letGo();
    this.#ending = endSourceReaders();
  }

  /** A disk that is not mounted cannot be kept busy, and its sources may be found where it is mounted next. */
  #note(): void {
    this.#parts.released.set(this.#released.flatMap(({ folders, away }) => (away ? [] : folders)));
  }

  /** Waits until nothing of ours is at work on the disk. Returns the number of files, calls and children that still are. */
  async #left({ mountPoints, folders }: Release, isLeft: () => boolean): Promise<number> {
    const { released, letGo } = this.#parts;
    const end = performance.now() + CLOSING_MS;
    for (;;) {
      // An opening that had begun may have ended since.
      letGo();
      const children = this.#ending.filter(isRunning).length;
      const calls = released.underWay(folders) + (isLeft() ? 0 : 1);
      const open = (await descriptorsBelow('self', mountPoints)) + calls + children;
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
    // Before the table is read: what it has then was mounted since.
    for (const release of this.#released) release.away ||= (release.unmounts?.take().size ?? 0) > 0;
    const mounted = new Set((await readMounts()).map(({ path }) => path.toString('latin1')));
    for (const release of this.#released) {
      const isThere = release.mountPoints.some((path) => mounted.has(path.toString('latin1')));
      release.away ||= !isThere;
      this.#note();
      if (!isThere || !release.away) continue;
      this.#forget(release);
      this.#changed();
      this.#parts.logger.info(`${shown(release)} is mounted again`);
      await this.#back(release);
    }
  }

  async #back({ folders }: Release): Promise<void> {
    const { living } = this.#parts.store;
    for (const folder of folders) {
      for await (const page of living.sourcesBelow(folder)) {
        const waiting = page.filter(({ id }) => living.condition(id)?.state === 'waiting');
        if (waiting.length > 0) this.#parts.onBack(waiting.map(({ id }) => id));
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
