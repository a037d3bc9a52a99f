/** Makes a pin of one source, and records it (`docs/sources.md`, "Pins"). */
import { close } from 'node:fs';
import { promisify } from 'node:util';
import { messageOf } from '../../errors.ts';
import type { DescriptorBudget, DescriptorShare } from '../../native/descriptor-budget.ts';
import type { Keeping, KeptFiles, NotKept, PinKind } from '../../rescue/kept-files.ts';
import { type FileIdentity, identityIn } from '../../source/identity.ts';
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

export interface PinSourceParts {
  readonly store: Store;
  readonly access: SourceAccess;
  readonly readersLook: ReadersLook;
  readonly descriptors: DescriptorBudget;
  readonly pins: KeptFiles;
  readonly table: PinTable;
}

class NotNow extends Error {}

export class PinSource {
  readonly #parts: PinSourceParts;
  readonly #share: DescriptorShare;

  constructor(parts: PinSourceParts) {
    this.#parts = parts;
    this.#share = parts.descriptors.share(() => false);
  }

  /** Pins a source that has no pin. Never rejects. */
  async pin(id: number, kind: PinKind): Promise<PinOutcome> {
    const { store, access } = this.#parts;
    const record = store.source(id);
    if (record === undefined) return { kind: 'later', says: 'is used by no entry any more' };
    // What is there now may have other bytes.
    const condition = store.living.condition(id);
    if (condition !== undefined) return { kind: 'later', says: `is ${condition.state}` };
    try {
      const opened = await this.#open(record);
      try {
        return await this.#pinOpen(id, record, opened, kind);
      } finally {
        this.#share.closed();
        await access.released.during(record.path, async () => await closeAsync(opened.fd));
      }
    } catch (error) {
      if (error instanceof NotNow) return { kind: 'later', says: error.message };
      return { kind: 'no', why: 'error', says: `cannot be pinned: ${messageOf(error)}` };
    }
  }

  /** @throws NotNow */
  async #open({ path, size, mtimeNs, ctimeNs, ino }: SourceRecord): Promise<OpenedSource> {
    const { access } = this.#parts;
    const recorded = ctimeNs === undefined ? { size, mtimeNs, ino } : { size, mtimeNs, ctimeNs };
    const turn = await access.turns.at(path);
    let opened: OpenedSource | undefined;
    await this.#share.open(async () => {
      const answer = await openSource({ path, recorded }, access, turn);
      if (answer.state !== 'as recorded') throw new NotNow(answer.why.says);
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
    const { spares: _, ...was } = record;
    const ctimeNs = record.ctimeNs === undefined ? undefined : original.ctimeNs;
    const now = { ...was, ...original, ctimeNs };
    await this.#parts.store.living.changeSources([{ id, was: record, now, trusted: unwritten }]);
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
