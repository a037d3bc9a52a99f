/** The folders of a new generation that are as the old one has them. They are written only if something else has changed. */
import { type FolderStore, RECORDS_AT_ONCE } from './folder-store.ts';
import type { GenerationWriter } from './generation-writer.ts';
import { uint32Column } from './growing-column.ts';

export class KeptFolders {
  readonly #ids = uint32Column();
  readonly #oldIds = uint32Column();

  /** Adds a folder with its ids in both generations. */
  add(id: number, oldId: number): void {
    this.#ids.extend(1, () => id);
    this.#oldIds.extend(1, () => oldId);
  }

  /** Copies the records from the old generation: they are many, so they were not held in memory. */
  async copy(old: FolderStore, writer: GenerationWriter): Promise<void> {
    const [ids, oldIds] = [this.#ids.view, this.#oldIds.view];
    for (let from = 0; from < ids.length; from += RECORDS_AT_ONCE) {
      const chunk = [...oldIds.subarray(from, from + RECORDS_AT_ONCE)];
      const records = await old.records(chunk);
      for (const [i, oldId] of chunk.entries()) {
        const record = records.get(oldId);
        if (record !== undefined) writer.write(ids[from + i] ?? 0, record);
      }
      await writer.caughtUp();
    }
  }
}
