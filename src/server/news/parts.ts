/** What the news of sources need of the rest of the server. */
import type { Condition, ConditionFound } from '../../source/condition.ts';
import type { FileHandle, FileIdentity, RecordedSource } from '../../source/identity.ts';

/** A file, as a look found it. */
export interface Sight {
  readonly identity: FileIdentity;
  /** On file systems where handles name files. */
  readonly handle?: FileHandle;
  readonly disk?: string;
  /** The names of the file. */
  readonly links: number;
  /**
   * True: the file system is one of those whose changes the watch and the ctime tell without exception, and nobody had the file
   * open for writing.
   */
  readonly quiet: boolean;
}

/** Looks at the file at a path. Undefined if none is there that may be read. */
export type LookAt = (path: Buffer) => Promise<Sight | undefined>;

/** Tells if sources may lie at a path: below a disk, or another folder of the configuration. */
export type MayHold = (path: Buffer) => Promise<boolean>;

/** A record that changes: the file was found at another path, or with another identity. */
export interface RecordChange {
  readonly id: number;
  readonly was: Pick<RecordedSource, 'path' | 'size' | 'mtimeNs' | 'ctimeNs'>;
  readonly now: FileIdentity & Pick<RecordedSource, 'path' | 'handle' | 'disk'>;
  readonly trusted: boolean;
  readonly how?: string;
}

export interface NewsStore {
  source(id: number): RecordedSource | undefined;
  sources(): AsyncIterable<
    readonly { readonly id: number; readonly path: Buffer; readonly disk: string | undefined }[]
  >;
  watch(watcher: { readonly placed: (paths: readonly Buffer[]) => void }): () => void;
  readonly living: {
    condition(id: number): Condition | undefined;
    conditions(): Iterable<[number, Condition]>;
    setCondition(id: number, found: ConditionFound): Condition;
    trust(id: number, how?: string): void;
    sourcesAt(path: Buffer): readonly number[];
    sourcesBelow(folder: Buffer): AsyncIterable<readonly { readonly id: number; readonly path: Buffer }[]>;
    sourcesByHandle(handle: FileHandle, disk: string | undefined): readonly number[];
    /** Its sources are at their new paths at once; they come in pages, for `recordPlaces`. */
    renameFolder(from: Buffer, to: Buffer, only?: ReadonlySet<number>): AsyncIterable<readonly number[]>;
    recordPlaces(ids: readonly number[], how: string): Promise<void>;
    changeSources(changes: readonly RecordChange[]): Promise<readonly number[]>;
  };
}

/** Those who settle the cases of sources. */
export interface Cases {
  note(id: number, seen?: { readonly seenDeleted: boolean }): void;
  /** Mounts have changed: what waits may be back. */
  lookAgain(): void;
}
