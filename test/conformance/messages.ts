/** The messages between the suite and the process that serves the mount. */

import type { Mount } from '../../src/fuse/driver.ts';
import type { Plan } from '../../src/plan/plan.ts';
import type { Remap } from '../../src/store/entries/remapping.ts';
import type { BackingCounts } from '../../src/vfs/backing.ts';
import type { Counts } from '../../src/vfs/counting.ts';
import type { FileSystemStatus } from '../../src/vfs/file-system.ts';

export type ServerStatus = FileSystemStatus &
  Counts &
  Pick<Mount, 'known'> & {
    /** How often the driver called each operation. */
    readonly calls: Readonly<Record<string, number>>;
    readonly passed: BackingCounts;
  };

export interface ServeOptions {
  /** The driver's name, as `chooseDriver` takes it. */
  readonly driver: string;
  readonly mountPoint: string;
  readonly statePath: string;
  readonly readOnly?: boolean;
  /** Leases are taken on sources, as the server does: those of 1:1 files are passed through by driver kernel. */
  readonly leased?: boolean;
}

export type RemapTo = Pick<Remap, 'extents' | 'sources' | 'proven'>;

export type Request =
  | { readonly do: 'create'; readonly plan: Plan }
  | { readonly do: 'addNames'; readonly infoHash: string; readonly names: readonly (readonly string[] | undefined)[] }
  /** Gives the file at `index` other extents; all pieces of it count as proven. */
  | { readonly do: 'remap'; readonly infoHash: string; readonly index: number; readonly remap: RemapTo }
  | { readonly do: 'remove'; readonly infoHash: string }
  | { readonly do: 'status' }
  | { readonly do: 'unmount' };

/** In the order of the requests; the first one reports how mounting went. */
export type Reply = { readonly ok: true; readonly status?: ServerStatus } | { readonly failed: string };
