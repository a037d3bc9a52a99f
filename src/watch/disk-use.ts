/**
 * Which disks something else has used lately, so that background work lets the others sleep.
 *
 * The kernel counts the requests that each block device has completed (/proc/diskstats). Our own background work is left out:
 * what is counted while it runs does not count. File systems without a block device (tmpfs, network, FUSE) are always said to
 * be in use: nothing is known of their disks.
 */
import { access, readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type MountedAt, readMounts } from '../native/mountinfo.ts';

/** Milliseconds after its last request for which a disk counts as awake. Disks are seldom set to sleep earlier. */
const LATELY_MS = 5 * 60_000;
const LOOK_MS = 30_000;

export interface DiskUseOptions {
  /** The disks that are mounted, as sources record them, and where: `disksMounted`. */
  readonly disks: () => ReadonlyMap<string, readonly Buffer[]> | Promise<ReadonlyMap<string, readonly Buffer[]>>;
  /** Default: /proc/diskstats. */
  readonly statistics?: () => Promise<string>;
  /** Default: `performance.now()`. */
  readonly now?: () => number;
}

interface Use {
  /** Requests that were completed. */
  count: string;
  /** When something else was last seen to use it; `now()`. */
  at: number;
}

export class DiskUse {
  readonly #options: DiskUseOptions;
  readonly #now: () => number;
  /** By the name of the block device. */
  readonly #uses = new Map<string, Use>();
  /** The names of the block devices of disks; undefined: it has none. */
  #devices: ReadonlyMap<string, string | undefined> = new Map();
  /** How many pieces of our own work run, by disk. */
  readonly #ours = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DiskUseOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Begins to look, now and every half a minute. */
  start(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_MS);
    this.#timer.unref();
    void this.look();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Tells if something else has used a disk within the last minutes. False for one that is not mounted. */
  usedLately(disk: string): boolean {
    if (!this.#devices.has(disk)) return false;
    const device = this.#devices.get(disk);
    if (device === undefined) return true;
    const use = this.#uses.get(device);
    return use !== undefined && this.#now() - use.at < LATELY_MS;
  }

  /** Runs background work that reads from a disk: its requests do not count. */
  async ownWork<T>(disk: string, work: () => Promise<T>): Promise<T> {
    await this.look();
    this.#ours.set(disk, (this.#ours.get(disk) ?? 0) + 1);
    try {
      return await work();
    } finally {
      // What was counted meanwhile becomes the count to compare with.
      await this.look();
      const left = (this.#ours.get(disk) ?? 1) - 1;
      if (left > 0) this.#ours.set(disk, left);
      else this.#ours.delete(disk);
    }
  }

  /** Reads the counts, and which disks are mounted. Never rejects. */
  async look(): Promise<void> {
    try {
      await this.#findDevices();
      const ours = new Set([...this.#ours.keys()].map((disk) => this.#devices.get(disk)));
      for (const { name, count } of countsIn(await this.#statistics())) {
        const use = this.#uses.get(name);
        if (use === undefined) this.#uses.set(name, { count, at: Number.NEGATIVE_INFINITY });
        else if (use.count !== count) {
          use.count = count;
          if (!ours.has(name)) use.at = this.#now();
        }
      }
    } catch {
      // Nothing is known: what was used stays so for a while.
    }
  }

  async #statistics(): Promise<string> {
    return await (this.#options.statistics?.() ?? readFile('/proc/diskstats', 'latin1'));
  }

  async #findDevices(): Promise<void> {
    const [disks, mounts] = [await this.#options.disks(), await readMounts()];
    const devices = new Map<string, string | undefined>();
    for (const [disk, places] of disks) {
      const mount = mounts.findLast(({ path }) => places.some((place) => place.equals(path)));
      devices.set(disk, mount === undefined ? undefined : await wholeDisk(mount));
    }
    this.#devices = devices;
  }
}

/** The counts of completed reads and writes of each device (Documentation/admin-guide/iostats.rst). */
function countsIn(statistics: string): { readonly name: string; readonly count: string }[] {
  return statistics.split('\n').flatMap((line) => {
    // MAJOR MINOR NAME READS MERGED SECTORS MS WRITES …
    const [, , name, reads, , , , writes] = line.trim().split(/\s+/);
    return name === undefined || writes === undefined ? [] : [{ name, count: `${reads} ${writes}` }];
  });
}

/** The name of the block device of a mount. Of a partition the whole disk: the use of another keeps it awake as well. */
async function wholeDisk({ source }: MountedAt): Promise<string | undefined> {
  if (!source.startsWith('/dev/')) return undefined;
  try {
    const device = await realpath(source);
    const folder = await realpath(join('/sys/class/block', basename(device)));
    const whole = (await isThere(join(folder, 'partition'))) ? dirname(folder) : folder;
    return basename(whole);
  } catch {
    return undefined;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
