/**
 * The condition of a source that is not, or was not, as recorded (`docs/sources.md` has the states). A source without a
 * condition is trusted.
 */
import type { FileIdentity } from './identity.ts';

export type ConditionState = 'doubted' | 'healing' | 'waiting' | 'lost';

export interface Condition {
  readonly state: ConditionState;
  /** The doubt's number: pieces that were proven at this epoch or later are proven for what lies there now. */
  readonly epoch: number;
  /** When the state began, in milliseconds since 1970. */
  readonly sinceMs: number;
  /** A predicate, to follow the file's name: `was modified`. */
  readonly reason: string;
  /** The disk that the source waits for: its id, or its folder in the configuration. */
  readonly disk?: string;
  /** The file that was last found in the source's place; absent if none was. */
  readonly observed?: FileIdentity;
  /**
   * The record was made anew of a file that nobody has proven, or that was written to when it was recorded. That the file is as
   * recorded ends no such doubt: only proofs do.
   */
  readonly unproven?: true;
  /** Somebody has opened the file for writing, and nothing else is known against it. A lease on it ends the doubt. */
  readonly opened?: true;
  /** Pieces of `observed`, or of the recorded file if none was, were hashed and did not agree: it is not believed again. */
  readonly failed?: true;
}

/** What somebody found who looked at a source, or who decided about it. */
export type ConditionFound = Pick<
  Condition,
  'state' | 'reason' | 'disk' | 'observed' | 'unproven' | 'failed' | 'opened'
>;
