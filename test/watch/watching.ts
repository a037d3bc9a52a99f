/** A running watch whose events a test waits for, as short texts: `renamed a -> b`. */
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import type { WatchEvent } from '../../src/watch/protocol.ts';
import { SourceWatch, type SourceWatchOptions } from '../../src/watch/source-watch.ts';
import { waitUntil } from '../harness/daemon.ts';

export class Watching {
  readonly watch: SourceWatch;
  readonly events: WatchEvent[] = [];
  readonly #base: string;

  /** `base`: left out of the paths in texts. */
  constructor(base: string, options: Partial<SourceWatchOptions> = {}) {
    this.#base = base;
    this.watch = new SourceWatch({
      library: openCLibrary(silentLogger),
      logger: silentLogger,
      onEvents: (events) => this.events.push(...events),
      ...options,
    });
    this.watch.start();
  }

  get texts(): string[] {
    return this.events.map((event) => textOf(event, this.#base));
  }

  /** All that has happened, and forgets it. */
  async take(): Promise<string[]> {
    await this.watch.fence();
    const texts = this.texts;
    this.events.length = 0;
    return texts;
  }

  async until(text: string, limitMs = 5000): Promise<void> {
    try {
      await waitUntil(text, async () => this.texts.includes(text), { limitMs });
    } catch (error) {
      throw new Error(`no "${text}" in ${JSON.stringify(this.texts)}`, { cause: error });
    }
  }
}

function textOf(event: WatchEvent, base: string): string {
  const shown = (path: Buffer): string => path.toString('latin1').replace(`${base}/`, '');
  if (event.kind === 'overflow' || event.kind === 'mounts-changed') return event.kind;
  const folder = 'folder' in event && event.folder ? ' folder' : '';
  const ids = event.sources === undefined ? '' : ` [${event.sources.join(' ')}]`;
  if (event.kind === 'renamed') return `renamed${folder} ${shown(event.from)} -> ${shown(event.to)}${ids}`;
  return `${event.kind}${folder} ${event.path === undefined ? '?' : shown(event.path)}${ids}`;
}
