/**
 * Keeps what torrents need of a source that is about to be lost, while an open descriptor still has it (`docs/sources.md`, "What
 * would be lost is kept"): before another program's first byte, and before a deleted or replaced file counts as lost.
 */
import { fstat } from 'node:fs';
import { promisify } from 'node:util';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { KeptFiles, NotKept } from '../../rescue/kept-files.ts';
import { threadClockMs } from '../../rescue/thread-clock.ts';
import type { FileSystems } from '../../source/file-system.ts';
import { comparedOf, differenceOf } from '../../source/identity.ts';
import { bothOf } from '../../source/readers.ts';
import type { SourceFile } from '../../source/source-file.ts';
import type { Store } from '../../store/store.ts';
import { FewLines } from '../few-lines.ts';
import type { LookAt } from '../news/parts.ts';
import type { Holder } from '../settling/queue.ts';
import type { KeptRecords } from './kept-records.ts';
import type { KeptSources } from './kept-sources.ts';

const fstatAsync = promisify(fstat);

/**
 * What can be done before a source, or a part of it, is lost. `kept`: its case is to be settled anew. `held`: it cannot be kept,
 * and is served as long as it is open. `nothing`: no open file has the old bytes, or it was kept before.
 */
export type BeforeLoss = 'kept' | 'held' | 'nothing';

export interface RescueParts {
  readonly store: Store;
  readonly fileSystems: Pick<FileSystems, 'kindOf' | 'mountedNow'>;
  /** Looks at the file at a path. */
  readonly look: LookAt;
  readonly files: KeptFiles;
  readonly sources: KeptSources;
  /** The open file of a source, whatever it is by now. */
  readonly openFile: (id: number) => SourceFile | undefined;
  /** Notes a case. */
  readonly note: (id: number) => void;
  readonly logger: Logger;
}

/** Milliseconds after a writer came in which his file is shared or copied: with all else that is done he waits for a second at most. */
const WRITER_MS = 700;
/** Milliseconds between two looks if a file that is held is open still. */
const HELD_MS = 1000;
/** Milliseconds at the end of the server for what only open files have. */
const LAST_MS = 5000;
/** Milliseconds for which it is not said again that nothing more is kept. */
const SAID_MS = 10 * 60_000;

export class Rescue {
  readonly #parts: RescueParts;
  readonly #lines: FewLines;
  readonly #keeping = new Map<number, Promise<BeforeLoss>>();
  /** The kept files that a healer was given with the case of a source. The one of urgent cases may know of more than the other. */
  readonly #offered: Readonly<Record<Holder, Map<number, readonly number[]>>> = {
    healer: new Map(),
    urgent: new Map(),
  };
  /** Files that are served as long as they are open. */
  readonly #held = new Map<number, SourceFile>();
  readonly #said = new Map<NotKept, number>();
  readonly #unwatch: () => void;
  #timer: NodeJS.Timeout | undefined;
  #started: Promise<void> = Promise.resolve();

  constructor(parts: RescueParts) {
    this.#parts = parts;
    this.#lines = new FewLines(parts.logger);
    this.#unwatch = parts.store.watch({
      conditionChanged: (id, before, now) => {
        if (now !== undefined || !this.#parts.sources.has(id)) return;
        // What somebody had only opened was looked at just now.
        void (before?.opened === true ? this.#letGo(id) : this.#trusted(id));
      },
    });
  }

  /** Takes up what an earlier server has kept. `records`: undefined if the server ends. */
  start(records: Promise<KeptRecords | undefined>): void {
    this.#started = this.#start(records).catch((error: unknown) => {
      this.#parts.logger.error(`what was kept of sources could not be looked at: ${messageOf(error)}`);
    });
  }

  async #start(found: Promise<KeptRecords | undefined>): Promise<void> {
    const { sources, store } = this.#parts;
    const records = await found;
    if (records === undefined) return;
    for (const original of await sources.load(records)) {
      if (store.living.condition(original) === undefined) await this.#trusted(original);
    }
  }

  /** Keeps a source that another program is about to write to. Never rejects. */
  async beforeWrite(id: number, file: SourceFile): Promise<void> {
    await this.#keep(id, file, threadClockMs() + WRITER_MS);
  }

  /** Nothing was written after all: lets go of what was kept. Never rejects. */
  async unchanged(id: number): Promise<void> {
    await this.#letGo(id);
  }

  /** A source was found at another place: lets go of what was kept of it. Never rejects. */
  async found(id: number): Promise<void> {
    await this.#letGo(id);
  }

  /** Keeps a source at once whose open file was deleted or replaced, where that costs nothing. Never rejects. */
  async noted(id: number): Promise<void> {
    await this.#keepIfGone(id, 'sharing');
  }

  /** Keeps what was deleted, replaced or moved, and is not settled yet: its open files are about to be closed. Never rejects. */
  async #keepOpen(): Promise<void> {
    const until = performance.now() + LAST_MS;
    for (const [id, { state }] of this.#parts.store.living.conditions()) {
      if (state === 'doubted' || state === 'healing') await this.#keepIfGone(id, 'copying');
      if (performance.now() < until) continue;
      this.#parts.logger.warn('not all files that were deleted while they were open could be kept in time');
      return;
    }
  }

  async #keepIfGone(id: number, by: 'sharing' | 'copying'): Promise<void> {
    const { openFile, fileSystems } = this.#parts;
    const file = openFile(id);
    if (file === undefined || file.closed || this.#parts.sources.hasWhole(id)) return;
    file.begin();
    try {
      const kind = await fileSystems.kindOf(file.record.path, file.identity.dev);
      if (by === 'sharing' && kind.shares !== true) return;
      if (by === 'sharing' ? await this.#isGone(file) : await this.#hasLeft(file)) await this.#keep(id, file);
    } catch (error) {
      this.#lines.say(`${file.record.path.toString()} cannot be looked at: ${messageOf(error)}`);
    } finally {
      file.done();
    }
  }

  /** Keeps a deleted, replaced or moved file whose descriptor is about to be closed, before its case is settled. Never rejects. */
  async lastChance(file: SourceFile): Promise<void> {
    const { store, sources } = this.#parts;
    const { id, record } = file;
    const state = store.living.condition(id)?.state;
    if (state === undefined || state === 'lost' || sources.hasWhole(id)) return;
    try {
      if (await this.#hasLeft(file)) await this.#keep(id, file);
    } catch (error) {
      this.#lines.say(`${record.path.toString()} cannot be looked at: ${messageOf(error)}`);
    }
  }

  /** Tells if an open file has no name any more. @throws the error of fstat(2) */
  async #isGone(file: SourceFile): Promise<boolean> {
    // libfuse gives a file that is open another name, and counts that.
    return (await fstatAsync(file.fd)).nlink === 0 || (!file.local && (await this.#hasLeft(file)));
  }

  /**
   * Tells if an open file is not at its path any more: it may be where no source may lie, in a recycle bin, say. One whose disk is away
   * comes back with it. @throws the error of fstat(2)
   */
  async #hasLeft({ fd, record: { path }, identity }: SourceFile): Promise<boolean> {
    if ((await fstatAsync(fd)).nlink === 0) return true;
    const isMounted = await this.#parts.fileSystems.mountedNow();
    return isMounted(fd) && (await this.#parts.look(path))?.identity.ino !== identity.ino;
  }

  /**
   * Tells what can be done before a source is lost, or is mapped without all of its bytes. `by`: the healer that decided so; undefined: a
   * command. Never rejects.
   */
  async beforeLoss(id: number, by: Holder | undefined): Promise<BeforeLoss> {
    const { openFile, sources } = this.#parts;
    const kept = sources.of(id);
    const offered = (by && this.#offered[by].get(id)) ?? [];
    if (kept.some((one) => !offered.includes(one))) return 'kept';
    if (sources.hasWhole(id)) return 'nothing';
    const file = openFile(id);
    return file === undefined || file.closed ? 'nothing' : await this.#keep(id, file);
  }

  /** Notes that a healer was given a case with these kept files. */
  offered(id: number, kept: readonly number[], by: Holder): void {
    if (kept.length > 0) this.#offered[by].set(id, kept);
    else this.#offered[by].delete(id);
  }

  /**
   * Has files mapped to kept files, by their ids, which are on the disk then. Undefined if one of them is not.
   * @throws the errors of `map`
   */
  async mapped<T>(kept: readonly number[], map: () => Promise<T>): Promise<T | undefined> {
    return await this.#parts.sources.mapped(kept, map);
  }

  /** Notes the case of a source again once its file is closed. */
  hold(id: number): void {
    const file = this.#parts.openFile(id);
    if (file === undefined || file.closed) {
      this.#parts.note(id);
      return;
    }
    this.#held.set(id, file);
    this.#timer ??= setInterval(() => this.#lookAtHeld(), HELD_MS).unref();
  }

  #lookAtHeld(): void {
    for (const [id, file] of this.#held) {
      if (!file.closed && this.#parts.openFile(id) === file) continue;
      this.#held.delete(id);
      this.#parts.note(id);
    }
    if (this.#held.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** `until`: a writer waits, as for `ToKeep`. */
  async #keep(id: number, file: SourceFile, until?: number): Promise<BeforeLoss> {
    const running = this.#keeping.get(id);
    if (running !== undefined) return await running;
    const keeping = this.#keepNow(id, file, until)
      .catch((error: unknown): BeforeLoss => {
        this.#lines.say(`${file.record.path.toString()} could not be kept: ${messageOf(error)}`);
        return 'nothing';
      })
      .finally(() => this.#keeping.delete(id));
    this.#keeping.set(id, keeping);
    return await keeping;
  }

  async #keepNow(id: number, file: SourceFile, until: number | undefined): Promise<BeforeLoss> {
    const { store, files, sources, logger } = this.#parts;
    const { living } = store;
    // What goes is no spare for the next writer.
    await sources.goingOf(id);
    const record = store.source(id);
    if (record === undefined || living.isKept(record.path)) return 'nothing';
    if (sources.hasApart(id)) return 'kept';
    // Its bytes are others already, or were wrong.
    if (file.identity.size !== record.size || living.condition(id)?.failed === true) return 'nothing';
    const ranges = await living.rangesOf(id);
    if (ranges.length === 0) return 'nothing';
    const readers = bothOf(file.readers, store.readers(id) ?? 'nobody');
    const { path } = record;
    file.begin();
    try {
      const wanted = { fd: file.fd, path, identity: file.identity, ranges, readers };
      const keeping = await files.keep(until === undefined ? wanted : { ...wanted, until });
      if (keeping.kind === 'not kept') {
        this.#say(`${path.toString()} ${keeping.says}`, keeping.why);
        return keeping.why === 'changed' || keeping.why === 'error' ? 'nothing' : 'held';
      }
      if ((await sources.add(id, keeping, readers)) === undefined) return 'nothing';
      const { missing } = keeping;
      if (missing > 0)
        this.#lines.say(`${path.toString()} is written to: ${missing} bytes of it could not be kept in time`);
      const how = keeping.shared ? 'shared' : `copied, ${keeping.bytes} bytes`;
      logger.debug(`${path.toString()} is kept as ${keeping.path.toString()} (${how})`);
      return 'kept';
    } finally {
      file.done();
    }
  }

  /** Says of one file that nothing more is kept, not of a hundred. */
  #say(line: string, why: NotKept): void {
    if (why === 'rescue_limit' || why === 'changed') {
      this.#lines.say(line);
      return;
    }
    const now = performance.now();
    if (now - (this.#said.get(why) ?? Number.NEGATIVE_INFINITY) < SAID_MS) return;
    this.#said.set(why, now);
    this.#parts.logger.warn(`${line}; nor may others be`);
  }

  /** A source is trusted again: what was kept is let go, if the file is where it should be. A deleted one may be open still. */
  async #trusted(id: number): Promise<void> {
    const { store, look } = this.#parts;
    const record = store.source(id);
    if (record === undefined) return;
    try {
      const seen = await look(record.path);
      if (seen === undefined || differenceOf(comparedOf(record), seen.identity) !== undefined) return;
      if (store.living.condition(id) === undefined) await this.#letGo(id);
    } catch (error) {
      this.#lines.say(`${record.path.toString()} cannot be looked at: ${messageOf(error)}`);
    }
  }

  async #letGo(id: number): Promise<void> {
    try {
      await this.#parts.sources.letGo(id);
    } catch (error) {
      this.#parts.logger.warn(`what was kept of source ${id} stays for now: ${messageOf(error)}`);
    }
  }

  /** Keeps what only open files have by now. Resolves when nothing more is kept. */
  async close(): Promise<void> {
    await this.#keepOpen();
    this.#unwatch();
    clearInterval(this.#timer);
    await this.#started;
    await Promise.all(this.#keeping.values());
    await this.#parts.sources.close();
  }
}
