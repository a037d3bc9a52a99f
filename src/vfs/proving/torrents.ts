/** What is known of the torrents whose pieces are proven: their piece lengths and layouts, which threads read. */
import type { MappedContent } from '../../store/overlay/content.ts';
import type { Store } from '../../store/store.ts';
import type { Layout } from './messages.ts';
import type { HashThreads } from './threads.ts';

/** Files that are looked at in one turn of the event loop. */
const SLICE = 500;
/** Files of all remembered layouts. Each takes 16 bytes. */
const MOST_FILES = 1_000_000;

export interface KnownTorrent {
  readonly infoHash: string;
  readonly pieceLength: number;
  readonly layout: Layout;
}

export class Torrents {
  readonly #store: Pick<Store, 'entryById' | 'metainfo' | 'plannedFile'>;
  readonly #threads: HashThreads;
  /** By entry, the longest unused first. */
  readonly #known = new Map<number, KnownTorrent>();
  readonly #starts = new WeakMap<MappedContent, number>();
  readonly #reading = new Map<number, Promise<KnownTorrent | undefined>>();
  #files = 0;

  constructor(store: Pick<Store, 'entryById' | 'metainfo' | 'plannedFile'>, threads: HashThreads) {
    this.#store = store;
    this.#threads = threads;
  }

  /** The torrent of an entry, if it is known already. */
  known(entry: number): KnownTorrent | undefined {
    return this.#known.get(entry);
  }

  /** Reads the torrent of an entry. Undefined if the entry is gone. @throws Error for metainfo that is not sound */
  async of(entry: number): Promise<KnownTorrent | undefined> {
    const known = this.#known.get(entry);
    if (known !== undefined) {
      this.#known.delete(entry);
      this.#known.set(entry, known);
      return known;
    }
    const reading = this.#reading.get(entry) ?? this.#read(entry).finally(() => this.#reading.delete(entry));
    this.#reading.set(entry, reading);
    return await reading;
  }

  async #read(entry: number): Promise<KnownTorrent | undefined> {
    const found = await this.#store.entryById(entry);
    const metainfo = found === undefined ? undefined : this.#store.metainfo(found.infoHash);
    if (found === undefined || metainfo === undefined) return undefined;
    const layout = await this.#threads.layout(found.infoHash, metainfo);
    const known = { infoHash: found.infoHash, pieceLength: layout.pieceLength, layout };
    this.#known.set(entry, known);
    this.#files += layout.offsets.length;
    for (const [oldest, { layout }] of this.#known) {
      if (this.#files <= MOST_FILES || this.#known.size === 1) break;
      this.#known.delete(oldest);
      this.#files -= layout.offsets.length;
    }
    return known;
  }

  /** The offset of a file in its torrent, if it was found before. */
  knownStart(content: MappedContent): number | undefined {
    return this.#starts.get(content);
  }

  /** Finds the offset of a file in its torrent by what the torrent itself says. Undefined if it is none of its files. */
  async startOf(content: MappedContent, { layout }: KnownTorrent): Promise<number | undefined> {
    const known = this.#starts.get(content);
    if (known !== undefined) return known;
    const { offsets } = layout;
    const isFile = (index: number): boolean => this.#store.plannedFile(content.entry, index) === content.ino;
    // The recorded offset saves the search. Stores of older versions have none.
    let index = content.torrentOffset === undefined ? -1 : offsets.indexOf(content.torrentOffset);
    while (index >= 0 && offsets[index] === content.torrentOffset && !isFile(index)) index++;
    if (index < 0 || offsets[index] !== content.torrentOffset) {
      for (index = 0; index < offsets.length && !isFile(index); index++) {
        if (index % SLICE === SLICE - 1) await new Promise(setImmediate);
      }
    }
    const start = offsets[index];
    if (start !== undefined) this.#starts.set(content, start);
    return start;
  }
}
