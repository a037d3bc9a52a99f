/**
 * Entries as the server maps them, for who settles cases. What he reports is taken over, and files that were mapped anew are asked
 * for alone: to list an entry of thousands of files for each of its cases would take longer than the cases.
 */
import type { ControlClient } from '../../control/client.ts';
import type { HealRecord, Outcome, Remap } from '../../heal/case.ts';
import type { HealEntry, HealFile } from '../../heal/entry-pieces.ts';
import { parseMetainfo } from '../../metainfo/parse.ts';

/** Files of entries that are remembered. */
const MOST_FILES = 500_000;
/** Files of an entry that is listed again as a whole when one of them was mapped anew. */
const FEW_FILES = 500;
/** Milliseconds for which an entry is believed: others change records, too. Outcomes that hold no longer are refused. */
const BELIEVED_MS = 30_000;

/** An entry whose records can be changed. */
interface MutableEntry extends HealEntry {
  readonly sources: Map<number, HealRecord>;
}

interface Known {
  entry: Promise<MutableEntry>;
  readonly loadedAt: number;
  /** Indexes of files that were mapped anew since. */
  readonly remapped: Set<number>;
}

export class KnownEntries {
  readonly #server: Pick<ControlClient, 'cases' | 'metainfo'>;
  readonly #known = new Map<string, Known>();
  #files = 0;

  constructor(server: Pick<ControlClient, 'cases' | 'metainfo'>) {
    this.#server = server;
  }

  /** Gives the same object as long as no file of the entry was mapped anew. @throws the errors of the server */
  async get(infoHash: string): Promise<HealEntry> {
    let known = this.#known.get(infoHash);
    if (known === undefined || performance.now() - known.loadedAt > BELIEVED_MS) {
      if (this.#files > MOST_FILES) this.forget();
      known = { entry: this.#load(infoHash), loadedAt: performance.now(), remapped: new Set() };
      this.#known.set(infoHash, known);
    } else if (known.remapped.size > 0) {
      const indexes = [...known.remapped];
      known.remapped.clear();
      known.entry = known.entry.then(async (entry) => await this.#renewed(entry, indexes));
    }
    try {
      return await known.entry;
    } catch (error) {
      if (this.#known.get(infoHash) === known) this.#known.delete(infoHash);
      throw error;
    }
  }

  /** Takes over outcomes that the server has applied. */
  async applied(outcomes: readonly Outcome[]): Promise<void> {
    const entries = await Promise.all(
      [...this.#known.values()].map(async ({ entry }) => await entry.catch(() => undefined)),
    );
    for (const outcome of outcomes) {
      if (outcome.kind === 'remap') await this.#remapped(outcome);
      if (outcome.kind !== 'same') continue;
      for (const entry of entries) {
        if (entry?.sources.has(outcome.id) === true) entry.sources.set(outcome.id, outcome.now);
      }
    }
  }

  async #remapped({ infoHash, index }: Remap): Promise<void> {
    const known = this.#known.get(infoHash);
    const files = (await known?.entry.catch(() => undefined))?.files.size ?? 0;
    if (files > FEW_FILES) known?.remapped.add(index);
    else this.#known.delete(infoHash);
  }

  forget(): void {
    this.#known.clear();
    this.#files = 0;
  }

  async #load(infoHash: string): Promise<MutableEntry> {
    const listed = await this.#list(infoHash);
    this.#files += listed.files.size;
    return { infoHash, metainfo: parseMetainfo(await this.#server.metainfo(infoHash)), ...listed };
  }

  async #renewed(entry: MutableEntry, indexes: readonly number[]): Promise<MutableEntry> {
    const { files, sources } = await this.#list(entry.infoHash, indexes);
    return {
      // The other files were listed then.
      ...entry,
      files: new Map([...entry.files, ...files]),
      sources: new Map([...entry.sources, ...sources]),
    };
  }

  async #list(infoHash: string, indexes?: readonly number[]): Promise<Omit<MutableEntry, 'infoHash' | 'metainfo'>> {
    const files = new Map<number, HealFile>();
    const sources = new Map<number, HealRecord>();
    let [since, epoch] = [0, 0];
    let places: readonly Buffer[] = [];
    for await (const part of this.#server.cases.mapping(infoHash, indexes)) {
      if ('since' in part) ({ since, epoch, places } = part);
      else if ('source' in part) sources.set(part.source.id, part.source.record);
      else {
        const { index, version, extents, overlay } = part.file;
        files.set(index, {
          index,
          version,
          extents,
          ...(overlay === undefined ? {} : { overlay: Buffer.from(overlay) }),
        });
      }
    }
    return { files, sources, since, epoch, places };
  }
}
