/**
 * The messages about sources and their cases on the control socket, in snake_case; `case-codec.ts` translates them. Numbers of
 * 64 bits are decimal text.
 *
 *     GET    /v1/sources?below=PATH      KnownSourceMessage, one JSON document a line: the sources below a folder (base64 of its
 *                                        path); with `&entries=yes` also which entries use them
 *     GET    /v1/entries/ID/records      KnownSourceMessage, one JSON document a line: the sources of an entry
 *     GET    /v1/entries/ID/mapping      MappingLine, one JSON document a line: how the files of an entry are mapped; with
 *                                        `?files=INDEX,…` those files alone
 *     GET    /v1/cases?wait=SECONDS      CaseMessage, one JSON document a line: cases that are due, once there are some; they
 *                                        are the caller's until he reports outcomes. `&by=healer` (default), or `&by=urgent`: only
 *                                        those for which readers wait, also what the other healer has
 *     POST   /v1/cases/outcomes          OutcomeMessage, one JSON document a line; AppliedMessage. With `?by=healer` or `?by=urgent`
 *                                        outcomes of cases that this healer does not have any more are skipped
 *     POST   /v1/cases/suspects          SuspectMessage, one JSON document a line: sources that are not as recorded; 204
 *     POST   /v1/cases/retry             204: all cases are due now, also those of sources that are lost
 *     POST   /v1/cases/give-up           GiveUpMessage: sources that wait for this disk no longer do; SourceIdsMessage
 *     POST   /v1/cases/settled           SourceIdsMessage: answers once none of these cases is due, or after half a minute;
 *                                        SourceIdsMessage: those that still are
 *     POST   /v1/cases/index             IndexQuestionMessage: may the index be asked what became of a source? IndexAnswerMessage
 *     POST   /v1/cases/index/renewed     IndexRenewedMessage: a rebuild of all of these disks has ended, or failed; 204
 *     GET    /v1/released                ReleasedFoldersMessage: disks that were released and are mounted still
 */

export interface IdentityMessage {
  readonly size: number;
  readonly dev: number;
  readonly ino: string;
  readonly mtime_ns: string;
  /** Null: not known. */
  readonly ctime_ns: string | null;
}

export interface HandleMessage {
  readonly type: number;
  /** Base64. */
  readonly bytes: string;
  /** That of the folder in which the file lay. */
  readonly folder?: HandleMessage;
}

export interface RecordMessage extends IdentityMessage {
  readonly path: string;
  /** The path's bytes in base64, if it is not UTF-8. */
  readonly path_bytes?: string;
  readonly handle?: HandleMessage;
  readonly disk?: string;
}

export interface ConditionMessage {
  readonly state: 'doubted' | 'healing' | 'waiting' | 'lost';
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly observed?: IdentityMessage;
  /** Pieces of it were hashed and did not agree. */
  readonly failed?: true;
}

export interface KnownSourceMessage extends RecordMessage {
  readonly id: number;
  /** Absent: it is trusted. */
  readonly condition?: ConditionMessage;
  /** What happened last to it; absent if nothing did. */
  readonly last?: { readonly how: string; readonly at: number };
  /** The entries that use it, if they were asked for. */
  readonly info_hashes?: readonly string[];
}

export interface CaseMessage extends KnownSourceMessage {
  readonly condition: ConditionMessage;
  readonly spares: readonly RecordMessage[];
  /** Absent: nothing was kept of it. */
  readonly kept?: readonly RecordMessage[];
  readonly seen_deleted: boolean;
  readonly given_up: boolean;
  readonly urgent: boolean;
  /** The entries that use it. */
  readonly info_hashes: readonly string[];
}

/** The number of the entry's last change, and the newest epoch, come first; then files, and each source before the first file that names it. */
export type MappingLine =
  /** `places`: paths in base64, where files have come to that may have what is missing. */
  | { readonly since: number; readonly epoch: number; readonly places: readonly string[] }
  | { readonly source: KnownSourceMessage }
  | { readonly file: MappedFileMessage };

export interface MappedFileMessage {
  readonly index: number;
  readonly version: number;
  /** `source`: an id, or -1 for zeros, -2 for a gap, -3 for what a client wrote. */
  readonly extents: readonly (readonly [offset: number, length: number, source: number, sourceOffset: number])[];
  readonly overlay?: string;
}

export interface SuspectMessage {
  readonly id: number;
  /** A predicate. */
  readonly reason: string;
  /** Absent: no file is there. */
  readonly found?: IdentityMessage;
}

export type OutcomeMessage =
  | {
      readonly kind: 'same';
      readonly id: number;
      readonly was: WasMessage;
      readonly now: RecordMessage;
      readonly trusted: boolean;
      readonly how: string;
    }
  | {
      readonly kind: 'remap';
      readonly id: number;
      readonly info_hash: string;
      readonly index: number;
      readonly version: number;
      readonly since: number;
      readonly epoch: number;
      readonly ranges: readonly (readonly [offset: number, length: number, source: number, sourceOffset: number])[];
      readonly sources: readonly RecordMessage[];
      readonly proven: readonly number[];
      readonly how: string;
    }
  | { readonly kind: 'waiting'; readonly id: number; readonly reason: string; readonly disk?: string }
  | { readonly kind: 'lost'; readonly id: number; readonly reason: string }
  /** `awaits`: nothing more is found before the index is renewed. `due`: milliseconds after which it can be judged. */
  | {
      readonly kind: 'later';
      readonly id: number;
      readonly reason: string;
      readonly awaits?: 'index';
      readonly due?: number;
    };

export interface WasMessage extends Pick<IdentityMessage, 'size' | 'mtime_ns' | 'ctime_ns'> {
  readonly path: string;
  readonly path_bytes?: string;
}

export interface AppliedMessage {
  /** Outcomes that hold. The others judged a record that is another one by now. */
  readonly applied: number;
  readonly skipped: number;
}

export interface GiveUpMessage {
  /** A disk as `list` and `show` name it, or a folder in base64. */
  readonly disk?: string;
  readonly folder?: string;
}

/** A disk of the configuration, and the file systems at and below it. */
export interface DiskMessage {
  readonly path: string;
  readonly file_systems: readonly string[];
}

export interface IndexQuestionMessage {
  readonly id: number;
  /** Milliseconds since 1970: the source's bytes had left their place by then. */
  readonly left: number;
  readonly disks: readonly DiskMessage[];
  /** Disks of the configuration of which no folder is there. */
  readonly missing: readonly string[];
}

/** `begun`: when the last of all rebuilds began. `renew`: rebuild these disks, report it, and ask again. */
export type IndexAnswerMessage =
  | { readonly state: 'fresh'; readonly begun: number }
  | { readonly state: 'renew'; readonly disks: readonly string[] }
  | { readonly state: 'later'; readonly reason: string }
  | { readonly state: 'away'; readonly begun?: number; readonly disk: string; readonly reason: string };

export interface IndexRenewedMessage {
  readonly disks: readonly DiskMessage[];
  /** When it began: milliseconds since 1970. */
  readonly begun: number;
  /** Why it failed, if it did. */
  readonly failed?: string;
}

export interface ReleasedFoldersMessage {
  /** Base64. */
  readonly folders: readonly string[];
}

export interface SourceIdsMessage {
  readonly ids: readonly number[];
}
