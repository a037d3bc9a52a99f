/** Tells if a disk of the configuration is not mounted, by the sources on it. */
import type { Condition } from '../../source/condition.ts';

export interface PlacedSources {
  source(id: number): { readonly path: Buffer; readonly disk?: string | undefined } | undefined;
  readonly living: {
    condition(id: number): Condition | undefined;
    sourcesBelow(folder: Buffer): AsyncIterable<readonly { readonly id: number }[]>;
  };
}

/**
 * Finds the first of `folders` below which a source lies whose file system is not mounted. What is lost says nothing: its disk may
 * have been given up.
 */
export async function awayDisk(
  store: PlacedSources,
  folders: readonly string[],
  mounted: ReadonlyMap<string, unknown>,
): Promise<string | undefined> {
  for (const folder of folders) {
    for await (const page of store.living.sourcesBelow(Buffer.from(folder))) {
      for (const { id } of page) {
        const disk = store.source(id)?.disk;
        if (disk === undefined || mounted.has(disk) || store.living.condition(id)?.state === 'lost') continue;
        return folder;
      }
      await new Promise(setImmediate);
    }
  }
  return undefined;
}
