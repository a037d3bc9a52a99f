/**
 * Runs tasks within two limits: how many run at once in all, and how many at once on any one disk.
 *
 * The disk with the fewest readers comes first, so that a long queue on one disk does not hold up another disk. Among disks
 * with equally many readers the order of the tasks decides.
 */

interface Waiting {
  readonly disks: readonly number[];
  readonly run: () => Promise<void>;
}

export class DiskQueue {
  readonly #total: number;
  readonly #perDisk: number;
  readonly #readers = new Map<number, number>();
  #running = 0;
  #waiting: Waiting[] = [];

  constructor(total: number, perDisk: number) {
    this.#total = total;
    this.#perDisk = perDisk;
  }

  /** Queues a task. `run` must not throw or reject; it starts at once if the limits allow. */
  add(disks: readonly number[], run: () => Promise<void>): void {
    this.#waiting.push({ disks, run });
    this.#start();
  }

  /** Forgets tasks that have not started. */
  drop(runs: ReadonlySet<() => Promise<void>>): void {
    this.#waiting = this.#waiting.filter((task) => !runs.has(task.run));
  }

  #start(): void {
    while (this.#running < this.#total) {
      const next = this.#next();
      if (next === undefined) return;
      const [task] = this.#waiting.splice(next, 1);
      if (task === undefined) return;
      this.#running++;
      for (const disk of task.disks) this.#readers.set(disk, this.#readersOf(disk) + 1);
      void this.#run(task);
    }
  }

  /** Finds the first task among those whose busiest disk has the fewest readers; undefined if none may run. */
  #next(): number | undefined {
    let found: number | undefined;
    let fewest = this.#perDisk;
    for (const [i, { disks }] of this.#waiting.entries()) {
      const readers = disks.reduce((most, disk) => Math.max(most, this.#readersOf(disk)), 0);
      if (readers >= fewest) continue;
      found = i;
      fewest = readers;
      if (readers === 0) break;
    }
    return found;
  }

  async #run(task: Waiting): Promise<void> {
    await task.run();
    this.#running--;
    for (const disk of task.disks) this.#readers.set(disk, this.#readersOf(disk) - 1);
    this.#start();
  }

  #readersOf(disk: number): number {
    return this.#readers.get(disk) ?? 0;
  }
}
