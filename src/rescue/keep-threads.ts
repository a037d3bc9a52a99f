/** The threads that keep files: a disk that does not answer holds up nothing of the others. */
import type { FileSystems } from '../source/file-system.ts';
import { OwnMounts } from '../source/own-mounts.ts';
import { realFolder } from '../source/real-folder.ts';
import { runLater } from '../source/steps.ts';
import { within } from '../within.ts';
import { KeepThread } from './keep-thread.ts';
import type { Answers, Request } from './messages.ts';

/** Milliseconds for what the threads do, at the end. */
const CLOSING_MS = 5000;

export class KeepThreads {
  readonly #fileSystems: Pick<FileSystems, 'diskHolding'>;
  readonly #ownMounts = new OwnMounts();
  readonly #threads = new Map<string, KeepThread>();
  readonly #asked = new Set<Promise<unknown>>();
  /** Where places are: byte strings. */
  readonly #real = new Map<string, Buffer>();
  closed = false;

  constructor(fileSystems: Pick<FileSystems, 'diskHolding'>) {
    this.#fileSystems = fileSystems;
  }

  /** That in which files of a disk are kept: whoever waits for it waits for nothing else. `dev`: that of the file. */
  keeping(dev: number): KeepThread {
    return this.#thread(`keep ${dev}`);
  }

  /** That for all else that is done in a place: one for all local disks. */
  async for(place: string): Promise<KeepThread> {
    const real = (await this.realOf(place)) ?? Buffer.from(place, 'latin1');
    const { dev, local } = await this.#fileSystems.diskHolding(real);
    return this.#thread(local ? 'local' : `${dev}`);
  }

  /** Resolves the name of a disk. Undefined: it leads through somebody else's link, or into a mount of ours. */
  async realOf(place: string): Promise<Buffer | undefined> {
    const known = this.#real.get(place);
    if (known !== undefined) return known;
    await this.#ownMounts.refresh();
    const found = await runLater(realFolder(Buffer.from(place, 'latin1'), { avoid: this.#ownMounts.paths }));
    if (found === undefined || 'says' in found) return undefined;
    this.#real.set(place, found.real);
    return found.real;
  }

  /** @throws Error with the message of what failed in the thread */
  async ask<Kind extends Request['kind']>(
    thread: KeepThread,
    request: Extract<Request, { kind: Kind }>,
  ): Promise<Answers[Kind]> {
    if (this.closed) throw new Error('the server ends');
    const asked = thread.ask(request);
    this.#asked.add(asked);
    try {
      return await asked;
    } finally {
      this.#asked.delete(asked);
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    await within(CLOSING_MS, Promise.allSettled(this.#asked));
    await Promise.all([...this.#threads.values()].map(async (thread) => await thread.close()));
  }

  #thread(name: string): KeepThread {
    const known = this.#threads.get(name);
    if (known !== undefined) return known;
    const thread = new KeepThread(() => {
      if (this.#threads.get(name) === thread) this.#threads.delete(name);
    });
    this.#threads.set(name, thread);
    return thread;
  }
}
