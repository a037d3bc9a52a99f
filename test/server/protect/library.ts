/** Films of entries in a store, and what pins them by hard links: in this process. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, silentLogger } from '../../../src/logger.ts';
import { DescriptorBudget } from '../../../src/native/descriptor-budget.ts';
import type { KeptFiles } from '../../../src/rescue/kept-files.ts';
import { PinSource } from '../../../src/server/protect/pin-source.ts';
import { PinTable } from '../../../src/server/protect/pin-table.ts';
import { findKeptRecords, type KeptRecords } from '../../../src/server/rescue/kept-records.ts';
import { ownFilesOf } from '../../../src/server/rescue/kept-sources.ts';
import { ReadersLook } from '../../../src/source/look-at-readers.ts';
import { ReleasedFolders } from '../../../src/source/released-folders.ts';
import type { Store } from '../../../src/store/store.ts';
import { anywhere } from '../../harness/anywhere.ts';
import { fileOf, planOf, sourceOf } from '../../harness/plans.ts';
import { type OpenVolume, openVolume } from '../../harness/volume.ts';
import { ID, keeperOn } from '../../rescue/keeping.ts';

const LENGTH = 100_000;

/** A store that is open, and what pins its sources. */
export interface OpenLibrary {
  readonly store: Store;
  readonly fileSystem: OpenVolume['fileSystem'];
  readonly pins: KeptFiles;
  readonly pinSource: PinSource;
  readonly table: PinTable;
  readonly released: ReleasedFolders;
  readonly records: Promise<KeptRecords | undefined>;
  /** What was said. */
  readonly said: string[];
  readonly logger: Logger;
}

/** A folder of films, in `base`. */
export class Library {
  readonly base: string;
  readonly disk: string;

  constructor(base: string) {
    this.base = base;
    this.disk = join(base, 'disk');
    mkdirSync(this.disk);
  }

  film(name: string): string {
    return join(this.disk, name);
  }

  /** Opens the store as a server does at its start. */
  async open<T>(work: (library: OpenLibrary) => Promise<T>): Promise<T> {
    const { base, disk } = this;
    const said: string[] = [];
    const say = (line: string): void => void said.push(line);
    const logger = { ...silentLogger, info: say, warn: say, error: say };
    const released = new ReleasedFolders();
    const state = { id: ID, path: join(base, 'state'), pins: true } as const;
    const pins = keeperOn(disk, base, { state, released, logger });
    const files = keeperOn(disk, base, { released, logger });
    const volume = await openVolume(join(base, 'state'), { kept: ownFilesOf(files, logger, pins) });
    const { store, fileSystem } = volume;
    try {
      const access = anywhere();
      const table = new PinTable(store);
      const readersLook = new ReadersLook({ ownMounts: access.ownMounts, ownFolders: [tmpdir()] });
      const descriptors = DescriptorBudget.ofProcess();
      const pinSource = new PinSource({
        store,
        access,
        readersLook,
        descriptors,
        pins,
        table,
        doubts: { differs: () => 1 },
      });
      const records = findKeptRecords(store, new AbortController().signal);
      await records;
      return await work({ store, fileSystem, pins, pinSource, table, released, records, said, logger });
    } finally {
      await volume.close();
      await pins.close();
      await files.close();
    }
  }

  /** Makes a film, unless it is there, and an entry that maps all of it. Returns the id of its source. */
  async add(store: Store, name: string, entry = name): Promise<number> {
    const path = this.film(name);
    if (store.living.sourcesAt(Buffer.from(path)).length === 0) writeFileSync(path, Buffer.alloc(LENGTH, name));
    const file = fileOf([name], [{ length: LENGTH, source: 0, sourceOffset: 0 }]);
    await store.createEntry(planOf(entry, [sourceOf(path)], [file]));
    return sourceAt(store, path);
  }

  /** Maps the file of an entry to the pin of its source, as the healer does when that is gone. */
  async mapToPin({ store }: OpenLibrary, name: string): Promise<number> {
    const [pin = -1] = store.living.pinsOf(sourceAt(store, this.film(name)));
    const { infoHash } = planOf(name, [], []);
    const found = await store.file(infoHash, 0);
    await store.living.remapFile(infoHash, 0, {
      was: found!.version,
      extents: [{ offset: 0, length: LENGTH, source: 0, sourceOffset: 0 }],
      sources: [pin],
      proven: [],
      since: 0,
      epoch: store.living.epoch,
      how: 'is taken from its pin',
    });
    return pin;
  }
}

/** Records that a source lies on a disk. */
export async function moveTo(store: Store, id: number, disk: string): Promise<void> {
  const was = store.source(id)!;
  const { spares: _, ...now } = was;
  assert.deepEqual(await store.living.changeSources([{ id, was, now: { ...now, disk }, trusted: true }]), [id]);
}

export function sourceAt(store: Store, path: string): number {
  const [id = -1] = store.living.sourcesAt(Buffer.from(path));
  return id;
}
