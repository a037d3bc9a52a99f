/**
 * Pins the sources of entries (`docs/sources.md`, "Pins"): in the background, as entries are made and files are mapped anew, and
 * when a command asks for it. One file of a disk at a time.
 */
import type { Config, Protection as Setting } from '../../config/config.ts';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { longerPause, type Pauses } from '../../longer-pause.ts';
import { isAtOrBelow } from '../../native/mountinfo.ts';
import type { KeptFiles } from '../../rescue/kept-files.ts';
import { lieApart } from '../../source/identity.ts';
import type { Store } from '../../store/store.ts';
import { FewLines } from '../few-lines.ts';
import type { KeptRecords } from '../rescue/kept-records.ts';
import type { OldPins, PinOutcome, PinSource } from './pin-source.ts';

export interface ProtectionParts {
  readonly store: Store;
  readonly config: Pick<Config, 'disks' | 'protect' | 'protectOf'>;
  readonly pins: KeptFiles;
  readonly pinSource: Pick<PinSource, 'pin'>;
  /** Tells of a path if it lies in a folder of our own state: nobody else changes what is there. */
  readonly isOwn: (path: Buffer) => boolean;
  readonly logger: Logger;
}

/** A source that is not pinned. `failed`: it cannot be; else it can be later. */
export interface Unpinned {
  readonly path: Buffer;
  readonly says: string;
  readonly failed: boolean;
}

/** What became of the sources of an entry. */
export interface EntryPins {
  /** Sources that have a pin, and their bytes; `made`: those of this call. */
  sources: number;
  bytes: number;
  made: number;
  /** Sources on disks for which `protect` is off. */
  off: number;
  readonly unpinned: Unpinned[];
}

/** Milliseconds after a new source until the entries that use it are looked at. */
const QUIET_MS = 1000;
/** Milliseconds until sources that could not have a pin yet are looked at again. */
const LATER_MS: Pauses = [5000, 60 * 60_000];
/** Sources that are pinned between two looks if the server ends. */
const PAGE = 100;

export class Protection {
  readonly #parts: ProtectionParts;
  readonly #lines: FewLines;
  readonly #entries = new Set<number>();
  /** What was said of file systems. */
  readonly #said = new Set<string>();
  readonly #pinning = new Map<number, Promise<PinOutcome>>();
  /** Sources whose pins could not be opened. */
  readonly #failing = new Set<number>();
  /** Entries with sources that can have a pin later. */
  readonly #later = new Set<number>();
  #laterMs = 0;
  #laterTimer: NodeJS.Timeout | undefined;
  readonly #unwatch: () => void;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: ProtectionParts) {
    this.#parts = parts;
    this.#lines = new FewLines(parts.logger);
    const { living } = parts.store;
    this.#unwatch = parts.store.watch({
      placed: (paths) => this.#placed(paths),
      conditionChanged: (id, _, now) => {
        if (now === undefined && living.pinsOf(id).length === 0) void this.#noteUsers([id]);
      },
    });
  }

  /** Takes up the pins of earlier servers, and pins what has none yet. `records`: undefined if the server ends. */
  start(records: Promise<KeptRecords | undefined>): void {
    this.#running = this.#start(records).catch((error: unknown) => {
      if (!this.#closed) this.#parts.logger.error(`pins could not be looked at: ${messageOf(error)}`);
    });
  }

  async #start(found: Promise<KeptRecords | undefined>): Promise<void> {
    const { store, pins } = this.#parts;
    const records = await found;
    if (records === undefined || this.#closed) return;
    await pins.clean([...records.paths.values()].filter((path) => pins.isKept(path)));
    if (!this.#isWanted) return;
    for await (const { infoHash } of store.entries()) this.note(infoHash);
  }

  /** An entry was made: its sources are pinned soon. */
  note(infoHash: string): void {
    const id = this.#parts.store.entryId(infoHash);
    if (id !== undefined) this.#note(id);
  }

  #note(entry: number): void {
    if (!this.#isWanted || this.#closed) return;
    this.#entries.add(entry);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#running = this.#running.then(async () => await this.#pinNoted());
    }, QUIET_MS).unref();
  }

  #placed(paths: readonly Buffer[]): void {
    if (!this.#isWanted) return;
    const { living } = this.#parts.store;
    void this.#noteUsers(paths.filter((path) => !living.isKept(path)).flatMap((path) => living.sourcesAt(path)));
  }

  async #noteUsers(ids: readonly number[]): Promise<void> {
    if (!this.#isWanted) return;
    try {
      for (const id of ids) for (const entry of await this.#parts.store.living.usersOf(id)) this.#note(entry);
    } catch (error) {
      if (!this.#closed) this.#parts.logger.warn(`new sources are pinned at the next start: ${messageOf(error)}`);
    }
  }

  get #isWanted(): boolean {
    const { protect, protectOf } = this.#parts.config;
    return protect !== 'off' || [...protectOf.values()].some((setting) => setting !== 'off');
  }

  /** Never rejects. */
  async #pinNoted(): Promise<void> {
    for (const entry of this.#entries) {
      if (this.#closed) return;
      this.#entries.delete(entry);
      try {
        const infoHash = (await this.#parts.store.entryById(entry))?.infoHash;
        if (infoHash === undefined) continue;
        const { unpinned } = await this.protect(infoHash);
        for (const one of unpinned) if (one.failed) this.#say(one);
        if (unpinned.some(({ failed }) => !failed)) this.#later.add(entry);
      } catch (error) {
        if (!this.#closed) this.#parts.logger.warn(`the sources of an entry are not pinned: ${messageOf(error)}`);
      }
    }
    this.#tryLater();
  }

  /** Nobody says when a file is not open for writing any more. */
  #tryLater(): void {
    if (this.#later.size === 0) this.#laterMs = 0;
    if (this.#later.size === 0 || this.#laterTimer !== undefined || this.#closed) return;
    this.#laterMs = longerPause(this.#laterMs, LATER_MS);
    this.#laterTimer = setTimeout(() => {
      this.#laterTimer = undefined;
      const entries = [...this.#later];
      this.#later.clear();
      for (const entry of entries) this.#note(entry);
    }, this.#laterMs).unref();
  }

  /** The pin of a source could not be opened: it may be gone. */
  noteFailed(id: number): void {
    if (this.#failing.has(id)) return;
    this.#failing.add(id);
    void this.#noteUsers([id]);
  }

  #say({ path, says }: Unpinned): void {
    const disk = this.#diskOf(path) ?? path.subarray(0, path.lastIndexOf(0x2f)).toString();
    const line = `${disk}: ${says}`;
    if (this.#said.has(line)) return;
    this.#said.add(line);
    this.#lines.say(`${path.toString()} ${says}; it is not said of others on ${disk}`);
  }

  /** Pins the sources that the files of an entry name. @throws AutotorrentError('NOT_FOUND') */
  async protect(infoHash: string): Promise<EntryPins> {
    const { store } = this.#parts;
    const found: EntryPins = { sources: 0, bytes: 0, made: 0, off: 0, unpinned: [] };
    const seen = new Set<number>();
    let page: number[] = [];
    const flush = async (): Promise<void> => {
      await this.#pinAll(page, found);
      page = [];
    };
    for await (const { extents } of store.files(infoHash)) {
      for (const { source } of extents) {
        if (source < 0 || seen.has(source)) continue;
        seen.add(source);
        page.push(source);
      }
      if (page.length >= PAGE) await flush();
      if (this.#closed) return found;
    }
    await flush();
    return found;
  }

  /** Those of one disk in turn. */
  async #pinAll(ids: readonly number[], found: EntryPins): Promise<void> {
    const { store } = this.#parts;
    const disks = new Map<string, number[]>();
    for (const id of ids) {
      const disk = store.source(id)?.disk ?? '';
      disks.set(disk, [...(disks.get(disk) ?? []), id]);
    }
    const missing = await this.#missing(ids);
    const one = async (id: number): Promise<void> => {
      const record = store.source(id);
      if (record === undefined || this.#closed || this.#parts.isOwn(record.path)) return;
      const pins = store.living.pinsOf(id);
      const there = pins.filter((pin) => !missing.has(pin));
      const elsewhere = there.filter((pin) => lieApart(record, store.source(pin)));
      const old = { missing: pins.filter((pin) => missing.has(pin)), elsewhere };
      const outcome = there.length > elsewhere.length ? undefined : await this.#pin(id, record.path, old);
      if (outcome !== 'off' && outcome?.kind === 'pinned') this.#failing.delete(id);
      if (outcome === 'off') found.off++;
      else if (outcome === undefined || outcome.kind === 'pinned') {
        found.sources++;
        found.bytes += record.size;
        if (outcome !== undefined) found.made++;
      } else found.unpinned.push({ path: record.path, says: outcome.says, failed: outcome.kind === 'no' });
    };
    await Promise.all(
      [...disks.values()].map(async (some) => {
        for (const id of some) await one(id);
      }),
    );
  }

  /** The pins of sources whose files are not there. */
  async #missing(ids: readonly number[]): Promise<ReadonlySet<number>> {
    const { store, pins } = this.#parts;
    const all = ids.flatMap((id) => store.living.pinsOf(id));
    const paths = await pins.missing(all.flatMap((pin) => store.source(pin)?.path ?? []));
    return new Set(paths.flatMap((path) => store.living.sourcesAt(path)));
  }

  async #pin(id: number, path: Buffer, old: OldPins): Promise<PinOutcome | 'off'> {
    const setting = this.settingOf(path);
    if (setting === 'off') return 'off';
    const running = this.#pinning.get(id);
    if (running !== undefined) return await running;
    const pinning = this.#parts.pinSource.pin(id, setting, old).finally(() => this.#pinning.delete(id));
    this.#pinning.set(id, pinning);
    return await pinning;
  }

  /** How sources at a path are pinned. */
  settingOf(path: Buffer): Setting {
    const { protect, protectOf } = this.#parts.config;
    const disk = this.#diskOf(path);
    return (disk === undefined ? undefined : protectOf.get(disk)) ?? protect;
  }

  /** The disk of the configuration that holds a path. */
  #diskOf(path: Buffer): string | undefined {
    const holding = this.#parts.config.disks.filter((disk) => isAtOrBelow(path, Buffer.from(disk)));
    return holding.toSorted((a, b) => b.length - a.length)[0];
  }

  /** Resolves when nothing more is pinned. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#unwatch();
    clearTimeout(this.#timer);
    clearTimeout(this.#laterTimer);
    await this.#running;
  }
}
