/** Disks that are not there: nothing is lost meanwhile. */
import type { Condition } from '../../source/condition.ts';

export interface PlacedSources {
  source(id: number): { readonly path: Buffer; readonly disk?: string | undefined } | undefined;
  readonly living: {
    condition(id: number): Condition | undefined;
    sourcesBelow(folder: Buffer): AsyncIterable<readonly { readonly id: number }[]>;
  };
}

/** `disk`, a folder of the configuration or a mount point, is not there, or was released. `begun`: as in `IndexAnswer`. */
export interface Away {
  readonly state: 'away';
  readonly begun?: number;
  readonly disk: string;
  readonly reason: string;
}

export function awayOn(disk: string, why: string): Away {
  return { state: 'away', disk, reason: `was not found, and may lie on ${disk}, which ${why}` };
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
