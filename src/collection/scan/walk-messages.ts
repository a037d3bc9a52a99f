/** The messages between the walk pool and its threads. */
import type { GrowthRules } from './growth.ts';
import type { FolderReading, FolderTask } from './read-folder.ts';

export interface WalkSettings {
  readonly ignoreFiles: readonly string[];
  readonly avoid: readonly string[];
  readonly racyMs: number;
  readonly growth: GrowthRules;
  /** A MemberBudget's. */
  readonly budget: SharedArrayBuffer;
  /** One Int32; not 0: the walk has ended, and what is left of a batch is not read. */
  readonly stop: SharedArrayBuffer;
  /** The paths by which the user named the roots, and their real paths. */
  readonly roots: readonly { readonly path: string; readonly real: string }[];
}

export interface WalkRequest {
  readonly batch: number;
  readonly tasks: readonly FolderTask[];
}

export interface WalkAnswer {
  readonly batch: number;
  readonly readings: readonly FolderReading[];
  /** Reason, number, an example's path (a byte string). */
  readonly skips: readonly (readonly [string, number, string])[];
}

/** What a thread says first: it has loaded its code. */
export const LOADED = 'loaded';
