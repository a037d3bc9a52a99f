/** Runs tasks in order within two limits: how many run at once in all, and how many at once on any one disk. */

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

  /** `run` must not throw or reject; it starts at once where the limits allow. */
  add(disks: readonly number[], run: () => Promise<void>): void {
    this.#waiting.push({ disks, run });
    this.#start();
  }

  /** Forgets tasks that have not started. */
  drop(runs: ReadonlySet<() => Promise<void>>): void {
    this.#waiting = this.#waiting.filter((task) => !runs.has(task.run));
  }

  #start(): void {
    if (this.#waiting.length === 0 || this.#running >= this.#total) return;
    // A disk that is busy must not hold up the tasks of the others behind it.
    const kept: Waiting[] = [];
    for (const task of this.#waiting) {
      const room = this.#running < this.#total && task.disks.every((disk) => this.#readersOf(disk) < this.#perDisk);
      if (!room) {
        kept.push(task);
        continue;
      }
      this.#running++;
      for (const disk of task.disks) this.#readers.set(disk, this.#readersOf(disk) + 1);
      void this.#run(task);
    }
    this.#waiting = kept;
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
