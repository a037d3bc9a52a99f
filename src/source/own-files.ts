/** Files of our own that are sources: each goes with the last record that names it. */
export interface OwnFiles {
  readonly isOwn: (path: Buffer) => boolean;
  /** Tells if a file is a pin: it stays until the entries go that use its original. Default: none is. */
  readonly isPin?: (path: Buffer) => boolean;
  /** Deletes a file that no source names any more. */
  readonly release: (path: Buffer) => Promise<void>;
}
