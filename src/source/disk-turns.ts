/**
 * Turns at the disks of sources. A call that reads, opens or looks at a user's file holds a thread of libuv's pool until the
 * disk answers, and the pool has one size for all. So a disk may hold some of its threads and no more: one that sleeps, or a
 * server that is away, keeps nobody waiting who reads from another.
 *
 * A disk is known by the device number in the mount table, which is read without touching any disk.
 */
import type { FileSystems } from './file-system.ts';

/** Threads that one disk holds at most: as many as libuv has for all, unless it is told otherwise. */
const MOST_OF_A_DISK = 4;
/** libuv's own number of threads, and the most that it starts. */
const USUAL_THREADS = 4;
const MOST_THREADS = 1024;

/** Runs calls on one disk, each in its turn. A call must not wait for another turn. */
export type Turn = <T>(call: () => Promise<T>) => Promise<T>;

/** A disk, as the mount table names it. */
export interface DiskNamed {
  readonly dev: number;
  /** Its answers need no network and no other program. */
  readonly local: boolean;
}

interface Disk extends DiskNamed {
  running: number;
  readonly waiting: (() => void)[];
}

export class DiskTurns {
  readonly #fileSystems: Pick<FileSystems, 'diskHolding'>;
  /** Threads that all disks hold at most; the others are left to the store. */
  readonly #most: number;
  /** Threads that all disks hold at most that are not local. */
  readonly #mostRemote: number;
  readonly #mostOfADisk: number;
  /** Those that are in use. */
  readonly #disks = new Map<number, Disk>();
  #running = 0;
  #runningRemote = 0;

  constructor(fileSystems: Pick<FileSystems, 'diskHolding'>, threads = poolThreads()) {
    this.#fileSystems = fileSystems;
    this.#most = Math.max(1, threads - Math.ceil(threads / 4));
    this.#mostRemote = Math.max(1, Math.floor(this.#most / 2));
    this.#mostOfADisk = Math.min(MOST_OF_A_DISK, this.#mostRemote);
  }

  /** Finds the disk of a path. */
  async at(path: Buffer): Promise<Turn> {
    const disk = await this.#fileSystems.diskHolding(path);
    return async (call) => await this.take(disk, call);
  }

  /** Runs a call on a disk as soon as it is its turn. */
  async take<T>({ dev, local }: DiskNamed, call: () => Promise<T>): Promise<T> {
    const disk = this.#disks.get(dev) ?? { dev, local, running: 0, waiting: [] };
    this.#disks.set(dev, disk);
    if (disk.waiting.length === 0 && this.#hasRoom(disk)) this.#begin(disk);
    else await new Promise<void>((go) => disk.waiting.push(go));
    try {
      return await call();
    } finally {
      this.#end(disk);
    }
  }

  #hasRoom({ running, local }: Disk): boolean {
    if (running >= this.#mostOfADisk || this.#running >= this.#most) return false;
    return local || this.#runningRemote < this.#mostRemote;
  }

  #begin(disk: Disk): void {
    disk.running++;
    this.#running++;
    if (!disk.local) this.#runningRemote++;
  }

  #end(disk: Disk): void {
    disk.running--;
    this.#running--;
    if (!disk.local) this.#runningRemote--;
    if (disk.running === 0 && disk.waiting.length === 0) this.#disks.delete(disk.dev);
    for (const other of this.#disks.values()) {
      while (other.waiting.length > 0 && this.#hasRoom(other)) {
        this.#begin(other);
        other.waiting.shift()?.();
      }
    }
  }
}

/** The number of threads of libuv's pool, by the variable that libuv reads when it starts them. */
export function poolThreads(size = process.env['UV_THREADPOOL_SIZE']): number {
  if (size === undefined) return USUAL_THREADS;
  return Math.min(MOST_THREADS, Math.max(1, Number.parseInt(size, 10) || 1));
}
