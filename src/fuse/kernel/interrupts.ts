/**
 * Ends requests that wait when their callers are killed.
 *
 * The kernel sends INTERRUPT when any signal comes for a caller that waits. A local disk goes on then, and programs rely on
 * that: few expect EINTR of a file, and a page that cannot be read because of it is a SIGBUS. So only a caller that dies gets
 * EINTR, which nobody sees; the kernel itself would have it wait for the reply. The kernel marks a thread that will die by a
 * pending SIGKILL, whatever signal ends it. It sends one INTERRUPT only, and the signal that kills may be a later one: so a
 * request that was interrupted once is looked at until it is answered.
 */
import { readFile } from 'node:fs/promises';

/** Milliseconds between looks at a caller. */
const LOOK_MS = 100;
const SIGKILL = 9n;
const PENDING = /^S(?:ig|hd)Pnd:\s*([0-9a-f]+)$/gm;

/** Tells whether a thread is about to die. False for one that this process cannot see. Never rejects. */
export async function isDying(pid: number): Promise<boolean> {
  if (pid === 0) return false;
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return [...status.matchAll(PENDING)].some(([, mask]) => ((BigInt(`0x${mask}`) >> (SIGKILL - 1n)) & 1n) === 1n);
}

interface Waiting {
  readonly pid: number;
  readonly abandon: () => void;
  interrupted: boolean;
}

export class Interrupts {
  readonly #waiting = new Map<bigint, Waiting>();

  /** Notes a request that waits and may be abandoned: `abandon` answers it with EINTR. Call `answered` when it is. */
  waits(unique: bigint, pid: number, abandon: () => void): void {
    this.#waiting.set(unique, { pid, abandon, interrupted: false });
  }

  answered(unique: bigint): void {
    this.#waiting.delete(unique);
  }

  /** The kernel interrupts a request. Does nothing if that is answered, or must not be abandoned. */
  interrupt(unique: bigint): void {
    const waiting = this.#waiting.get(unique);
    if (waiting === undefined || waiting.interrupted) return;
    waiting.interrupted = true;
    void this.#watch(unique, waiting);
  }

  async #watch(unique: bigint, waiting: Waiting): Promise<void> {
    while (this.#waiting.get(unique) === waiting) {
      if (await isDying(waiting.pid)) {
        if (this.#waiting.get(unique) !== waiting) return;
        this.#waiting.delete(unique);
        waiting.abandon();
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS).unref());
    }
  }
}
