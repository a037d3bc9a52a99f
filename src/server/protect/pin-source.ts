/** Makes a pin of one source, and records it (`docs/sources.md`, "Pins"). */
import { close } from 'node:fs';
import { promisify } from 'node:util';
import { messageOf } from '../../errors.ts';
import type { DescriptorBudget, DescriptorShare } from '../../native/descriptor-budget.ts';
import type { Keeping, KeptFiles, NotKept, PinKind } from '../../rescue/kept-files.ts';
import type { SourceDoubts } from '../../source/doubts.ts';
import { comparedOf, type FileIdentity, identityIn } from '../../source/identity.ts';
import type { ReadersLook } from '../../source/look-at-readers.ts';
import { type OpenedSource, openSource } from '../../source/open-source.ts';
import { bothOf, type Readers } from '../../source/readers.ts';
import type { SourceAccess } from '../../source/source-access.ts';
import type { SourceRecord } from '../../store/records/record.ts';
import type { Store } from '../../store/store.ts';
import type { PinTable } from './pin-table.ts';

const closeAsync = promisify(close);

/**
 * `pinned`: it has a pin now; `bytes`: of the file. `later`: it is not as recorded now, or is not trusted. `no`: it cannot be.
 */
export type PinOutcome =
  | { readonly kind: 'pinned'; readonly path: Buffer; readonly bytes: number }
  | { readonly kind: 'later'; readonly says: string }
  | { readonly kind: 'no'; readonly why: NotKept; readonly says: string };

/** Pins of a source that do not protect it any more. */
export interface OldPins {
  /** Their files are not there. */
  readonly missing: readonly number[];
  /** They lie on another disk than the source, which was moved. */
  readonly elsewhere: readonly number[];
}

const NO_PINS: OldPins = { missing: [], elsewhere: [] };

export interface PinSourceParts {
  readonly store: Store;
  readonly access: SourceAccess;
  readonly readersLook: ReadersLook;
  readonly descriptors: DescriptorBudget;
  readonly pins: KeptFiles;
  readonly table: PinTable;
  /** Takes what is found out of sources that are not as recorded. */
  readonly doubts: Pick<SourceDoubts, 'differs'>;
}

class NotNow extends Error {}

export class PinSource {
  readonly #parts: PinSourceParts;
  readonly #share: DescriptorShare;

  constructor(parts: PinSourceParts) {
    this.#parts = parts;
    this.#share = parts.descriptors.share(() => false);
  }

  /** Pins a source that has no pin, or none that serves. Never rejects. */
  async pin(id: number, kind: PinKind, old: OldPins = NO_PINS): Promise<PinOutcome> {
    const { store, access } = this.#parts;
    const record = store.source(id);
    if (record === undefined) return { kind: 'later', says: 'is used by no entry any more' };
    // What is there now may have other bytes.
    const condition = store.living.condition(id);
    if (condition !== undefined) return { kind: 'later', says: `is ${condition.state}` };
    try {
      const opened = await this.#open(id, record);
      try {
        // The disk is there, so they are not away.
        await this.#forget(id, old.missing);
        const outcome = await this.#pinOpen(id, record, opened, kind);
        if (outcome.kind === 'pinned') await this.#forget(id, old.elsewhere);
        return outcome;
      } finally {
        this.#share.closed();
        await access.released.during(record.path, async () => await closeAsync(opened.fd));
      }
    } catch (error) {
      if (error instanceof NotNow) return { kind: 'later', says: error.message };
      return { kind: 'no', why: 'error', says: `cannot be pinned: ${messageOf(error)}` };
    }
  }

  /** Deletes pins of a source, and their records, but for those to which files are mapped. */
  async #forget(id: number, pins: readonly number[]): Promise<void> {
    const { living } = this.#parts.store;
    for (const pin of pins) {
      if ((await living.rangesOf(pin)).length === 0) await living.forget(pin, id);
    }
  }

  /** @throws NotNow */
  async #open(id: number, record: SourceRecord): Promise<OpenedSource> {
    const { access } = this.#parts;
    const { path } = record;
    const turn = await access.turns.at(path);
    let opened: OpenedSource | undefined;
    await this.#share.open(async () => {
      const answer = await openSource({ path, recorded: comparedOf(record) }, access, turn);
      if (answer.state !== 'as recorded') {
        const found = answer.state === 'suspect' ? { identity: answer.found, unlinked: false } : undefined;
        if (answer.why.code !== 'released') this.#parts.doubts.differs(id, answer.why, found);
        throw new NotNow(answer.why.says);
      }
      opened = answer;
      return answer.fd;
    });
    if (opened === undefined) throw new NotNow('could not be opened');
    return opened;
  }

  async #pinOpen(id: number, record: SourceRecord, opened: OpenedSource, kind: PinKind): Promise<PinOutcome> {
    const { store, pins, readersLook } = this.#parts;
    const { path } = record;
    const { fd, identity, stats } = opened;
    const own = await readersLook.atOpen(fd, stats, path);
    const readers = bothOf(own, store.readers(id) ?? 'nobody');
    const kept = await pins.keep({ fd, path, identity, ranges: [], readers, pin: kind });
    if (kept.kind === 'not kept') {
      const { why, says } = kept;
      return why === 'changed' ? { kind: 'later', says } : { kind: 'no', why, says };
    }
    const { original } = kept;
    if (original !== undefined) await this.#recordLinked(id, record, original, kept.unwritten === true);
    if (await this.#record(id, record, kept, readers)) return { kind: 'pinned', path: kept.path, bytes: record.size };
    await pins.drop(kept.path);
    return { kind: 'later', says: 'changed before its pin was recorded' };
  }

  /** A link changes the ctime of its file. Where nobody can have written meanwhile, that is all that has changed. */
  async #recordLinked(id: number, record: SourceRecord, original: FileIdentity, unwritten: boolean): Promise<void> {
    const { store, access } = this.#parts;
    // Others may grant leases, and know nothing of writers elsewhere.
    const { leases } = await access.fileSystems.kindOf(record.path, original.dev);
    const { spares: _, ...was } = record;
    const ctimeNs = record.ctimeNs === undefined ? undefined : original.ctimeNs;
    const now = { ...was, ...original, ctimeNs };
    await store.living.changeSources([{ id, was: record, now, trusted: unwritten && leases }]);
  }

  /** False: the source is another one by now. */
  async #record(
    id: number,
    before: SourceRecord,
    { path, identity }: Extract<Keeping, { kind: 'kept' }>,
    readers: Readers,
  ): Promise<boolean> {
    const { store } = this.#parts;
    const now = store.source(id);
    // Its record may be made anew of other bytes. That it was renamed, or doubted since, takes none from the pin.
    if (now === undefined || now.size !== before.size || now.mtimeNs !== before.mtimeNs) return false;
    const disk = before.disk === undefined ? {} : { disk: before.disk };
    const file = { path, ...identityIn(identity), spares: [], readers, ...disk };
    const pin = await store.living.keep(id, file, undefined);
    if (pin !== undefined) this.#parts.table.made(pin, id);
    return pin !== undefined;
  }
}
