/** Files of our own that are sources: each goes with the last record that names it. */
export interface OwnFiles {
  readonly isOwn: (path: Buffer) => boolean;
  /** Deletes a file that no source names any more. */
  readonly release: (path: Buffer) => Promise<void>;
}
