/**
 * Notices that clients have written to entries, and has them verified once they are quiet: what a client downloaded
 * counts when its pieces agree.
 *
 * Hashing and parsing are another process's work (`autotorrent verify --unverified`), one at a time: the server serves.
 */
import { once } from 'node:events';
import type { Logger } from '../../logger.ts';
import { type OwnProcess, type OwnProcessOptions, startOwnProcess } from './start-child.ts';

/** A client that downloads writes every second or so. */
const QUIET_MS = 3000;
/** One that never rests is verified all the same. */
const LONGEST_MS = 60_000;
const LOOK_MS = 500;

interface Change {
  readonly firstAt: number;
  lastAt: number;
}

export interface DownloadWatchOptions {
  /** Node's arguments up to the entry's info hash. */
  readonly command: readonly string[];
  /** Undefined for an entry that has gone. */
  readonly infoHashOf: (entry: number) => Promise<string | undefined>;
  readonly keepDescriptors: OwnProcessOptions['keepDescriptors'];
  readonly logger: Logger;
}

export class DownloadWatch {
  readonly #options: DownloadWatchOptions;
  readonly #changed = new Map<number, Change>();
  #timer: NodeJS.Timeout | undefined;
  #running: OwnProcess['child'] | undefined;
  #closed = false;

  constructor(options: DownloadWatchOptions) {
    this.#options = options;
  }

  /** Bytes of an entry changed. Called for each write. */
  note(entry: number): void {
    const now = performance.now();
    const change = this.#changed.get(entry);
    if (change === undefined) this.#changed.set(entry, { firstAt: now, lastAt: now });
    else change.lastAt = now;
    if (!this.#closed) this.#timer ??= setInterval(() => void this.#look(), LOOK_MS).unref();
  }

  async #look(): Promise<void> {
    if (this.#running !== undefined || this.#closed) return;
    const now = performance.now();
    for (const [entry, { firstAt, lastAt }] of this.#changed) {
      if (now - lastAt < QUIET_MS && now - firstAt < LONGEST_MS) continue;
      this.#changed.delete(entry);
      await this.#verify(entry);
      return;
    }
    if (this.#changed.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #verify(entry: number): Promise<void> {
    const { command, infoHashOf, keepDescriptors, logger } = this.#options;
    const infoHash = await infoHashOf(entry);
    if (infoHash === undefined || this.#closed || this.#running !== undefined) return;
    const { child, said } = startOwnProcess({ args: [...command, infoHash], keepDescriptors });
    child.stdout.resume();
    this.#running = child;
    child.once('error', (error) => logger.warn(`what was downloaded could not be verified: ${error.message}`));
    child.once('close', (code) => {
      this.#running = undefined;
      // 3: some piece is not right yet, which `list` and `show` tell.
      if (code === 0 || code === 3 || this.#closed) return;
      logger.warn(`what was downloaded could not be verified: ${said()}`);
    });
  }

  /** Ends what is running. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    const child = this.#running;
    if (child === undefined) return;
    child.kill('SIGTERM');
    await once(child, 'close');
  }
}
