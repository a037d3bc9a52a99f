/**
 * Knows the mounts of autotorrent, of this server and of others. No source may lie on one: a server that reads its own mount
 * waits for itself, and two servers that read each other's mounts wait for each other, beyond SIGKILL.
 */
import { isAtOrBelow, type MountedAt, OUR_TYPE, readMounts, readMountsSync } from '../native/mountinfo.ts';

/** Milliseconds for which a reading of the mount table is believed. */
const FRESH_MS = 1000;

/** Reads the mount table. */
export interface MountTable {
  readonly read: () => Promise<readonly MountedAt[]>;
  readonly readSync: () => readonly MountedAt[];
}

export class OwnMounts {
  readonly #table: MountTable;
  #mounts: readonly MountedAt[] = [];
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;

  constructor(table: MountTable = { read: readMounts, readSync: readMountsSync }) {
    this.#table = table;
  }

  /** Reads the mount table again if the last reading is older than a second. */
  async refresh(): Promise<void> {
    if (performance.now() - this.#lookedAt < FRESH_MS) return;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  /** Does what `refresh` does, in threads that have nothing else to do. */
  refreshSync(): void {
    if (performance.now() - this.#lookedAt >= FRESH_MS) this.#note(this.#table.readSync());
  }

  async #look(): Promise<void> {
    this.#note(await this.#table.read());
  }

  #note(mounts: readonly MountedAt[]): void {
    this.#mounts = mounts.filter((mount) => mount.type === OUR_TYPE);
    this.#lookedAt = performance.now();
  }

  /** The paths of such mounts: byte strings. */
  get paths(): readonly string[] {
    return this.#mounts.map(({ path }) => path.toString('latin1'));
  }

  /** Tells by its path if a file lies on such a mount, before it is opened. */
  holdsPath(path: Buffer): boolean {
    return this.#mounts.some((mount) => isAtOrBelow(path, mount.path));
  }

  /** Tells by `Stats.dev` if a file lies on such a mount, even if a symlink hides that from `holdsPath`. */
  holdsDevice(dev: number): boolean {
    return this.#mounts.some((mount) => mount.dev === dev);
  }
}
