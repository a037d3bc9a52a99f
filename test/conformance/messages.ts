/** The messages between the suite and the process that serves the mount. */

import type { Plan } from '../../src/plan/plan.ts';
import type { Counts } from '../../src/vfs/counting.ts';
import type { FileSystemStatus } from '../../src/vfs/file-system.ts';

export type ServerStatus = FileSystemStatus & Counts;

export interface ServeOptions {
  readonly mountPoint: string;
  readonly statePath: string;
  readonly readOnly?: boolean;
}

export type Request =
  | { readonly do: 'create'; readonly plan: Plan }
  | { readonly do: 'addNames'; readonly infoHash: string; readonly names: readonly (readonly string[] | undefined)[] }
  | { readonly do: 'remove'; readonly infoHash: string }
  | { readonly do: 'status' }
  | { readonly do: 'unmount' };

/** In the order of the requests; the first one reports how mounting went. */
export type Reply = { readonly ok: true; readonly status?: ServerStatus } | { readonly failed: string };
