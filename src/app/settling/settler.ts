/** Makes a settler of cases from a configuration and its server: index, hash pool, and entries as the server maps them. */
import type { CollectionIndex } from '../../collection/index.ts';
import { openCollection } from '../../collection/open.ts';
import type { Config } from '../../config/config.ts';
import { shiftsOfFile } from '../../container/payload-files.ts';
import type { ControlClient } from '../../control/client.ts';
import { AutotorrentError } from '../../errors.ts';
import type { HashPool } from '../../hash/hash-pool.ts';
import type { Outcome } from '../../heal/case.ts';
import { Settler } from '../../heal/settle.ts';
import type { Logger } from '../../logger.ts';
import { openCLibrary } from '../../native/c-library.ts';
import { giveWay } from '../../native/give-way.ts';
import { SourceAccess } from '../../source/source-access.ts';
import type { SourceRules } from '../../source/source-folders.ts';
import { FreshIndex } from './fresh-index.ts';
import { KnownEntries } from './known-entries.ts';

export interface SettlerTools {
  readonly rules: SourceRules;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Gives way to all other programs while it hashes. */
  readonly background?: boolean;
}

export interface OpenSettler {
  readonly settler: Settler;
  /** Begins a batch: folders, and the index, are read as they are now. */
  readonly begin: () => void;
  /** Takes over what the server was told. `skipped`: how many of the outcomes hold no longer. */
  readonly reported: (outcomes: readonly Outcome[], answer: { readonly skipped: number }) => Promise<void>;
  /** Forgets how entries are mapped: records have changed. */
  readonly changed: () => void;
  readonly close: () => Promise<void>;
}

/** The nice value of a settler in the background. */
const NICE = 10;
/** Milliseconds after which an index that a newer one replaces is closed: work may still use it. */
const CLOSE_MS = 60_000;

export function createSettler(
  config: Config,
  server: ControlClient,
  { rules, logger, signal, background = false }: SettlerTools,
): OpenSettler {
  const access = new SourceAccess(rules, { logger });
  let pool: Promise<HashPool> | undefined;
  const entries = new KnownEntries(server);
  const index = new IndexNow(config, { logger, signal });
  const fresh = new FreshIndex(config, {
    server,
    access,
    logger,
    signal,
    onRenewed: () => index.renew(),
  });
  const settler = new Settler({
    access,
    disks: {
      placeOf: (path, dev) => access.placing.placeOf(path, dev),
      pathOfHandle: async (handle, folder) => await access.placing.pathOfHandle(handle, folder),
      disksMounted: async () => await access.fileSystems.disksMounted(),
    },
    pool: async () => {
      if (background && pool === undefined) {
        // An index process that is started later would inherit the priority.
        await index.get();
        giveWay(openCLibrary(logger), NICE);
      }
      return await (pool ??= startPool(config, rules));
    },
    index: async () => await index.get(),
    // Without an index there is nothing to renew, but a disk that was released is no reason to lose anything either.
    freshIndex: async ({ id, givenUp }, leftMs) =>
      (await index.get()) === undefined && (givenUp || access.released.folders.length === 0)
        ? { state: 'fresh' }
        : await fresh.sees(id, leftMs),
    entry: async (infoHash) => await entries.get(infoHash),
    sourcesBelow: async function* (folder) {
      for await (const { id, record } of server.cases.below(folder)) {
        // That those are not there says nothing of a disk.
        if (!access.released.holds(record.path)) yield { id, path: record.path };
      }
    },
    hypotheses: ({ path, identity }, wantedLength) => shiftsOfFile({ path, size: identity.size }, wantedLength, access),
    sizeVarying: config.hashSizeVarying,
    signal,
  });
  return {
    settler,
    begin() {
      settler.begin();
      index.renew();
    },
    async reported(outcomes, { skipped }) {
      if (skipped > 0) entries.forget();
      else await entries.applied(outcomes);
    },
    changed: () => entries.forget(),
    async close() {
      await index.close();
      await (await pool)?.close();
    },
  };
}

async function startPool(config: Config, rules: SourceRules): Promise<HashPool> {
  const { createHashPool } = await import('../../hash/piscina-pool.ts');
  return createHashPool({ sources: rules, readersPerDisk: config.hashReaders });
}

/** The index as it is when a batch begins. Without one, a settler does without. */
class IndexNow {
  readonly #config: Config;
  readonly #tools: Pick<SettlerTools, 'logger' | 'signal'>;
  #open: Promise<CollectionIndex | undefined> | undefined;
  /** The one that the next one replaces. */
  #stale: Promise<CollectionIndex | undefined> | undefined;

  constructor(config: Config, tools: Pick<SettlerTools, 'logger' | 'signal'>) {
    this.#config = config;
    this.#tools = tools;
  }

  async get(): Promise<CollectionIndex | undefined> {
    const before = this.#stale;
    this.#open ??= this.#begin();
    const index = await this.#open;
    // A connection is held all the time: without one the index process would end.
    if (before !== undefined && this.#stale === before) {
      this.#stale = undefined;
      setTimeout(() => void before.then(async (old) => await old?.close()), CLOSE_MS).unref();
    }
    return index;
  }

  /** Has the index opened anew when it is asked next: a rebuild may have ended. */
  renew(): void {
    this.#stale ??= this.#open;
    this.#open = undefined;
  }

  async close(): Promise<void> {
    await (await this.#open)?.close();
    await (await this.#stale)?.close();
  }

  async #begin(): Promise<CollectionIndex | undefined> {
    try {
      return await openCollection(this.#config, this.#tools).openIndex();
    } catch (error) {
      if (!(error instanceof AutotorrentError) || error.code !== 'INDEX') throw error;
      this.#tools.logger.debug(`sources are looked for without the index: ${error.message}`);
      return undefined;
    }
  }
}
