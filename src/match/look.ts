/** Looks at candidates: checks what the index recorded of a file before it is believed. */
import type { CollectionFile } from '../collection/index.ts';
import type { DifferenceCode, FileIdentity } from '../source/identity.ts';
import { type Absent, lookAtSource, type OpenedSource, openSourceSync, type Suspect } from '../source/open-source.ts';
import type { SourceAccess } from '../source/source-access.ts';

/** A candidate that was looked at. */
export interface Source {
  readonly path: Buffer;
  readonly identity: FileIdentity;
  /** Names the inode: two paths with one of these are one file. */
  readonly inode: string;
  /** A `Looker` made it: its file was so in this run. */
  readonly seen?: boolean | undefined;
}

/** The reason why a file is no candidate: a predicate after its path. */
export interface Refusal {
  readonly refused: string;
}

/** The reason that a look gave. */
export interface RefusedLook extends Refusal {
  readonly code: DifferenceCode;
}

export class Looker {
  readonly access: SourceAccess;
  /** By path, as latin1: each path is looked at once in a run. */
  readonly #seen = new Map<string, Source | RefusedLook>();

  constructor(access: SourceAccess) {
    this.access = access;
  }

  look(file: Pick<CollectionFile, 'path' | 'size'>): Source | RefusedLook {
    const key = file.path.toString('latin1');
    const known = this.#seen.get(key);
    if (known !== undefined) return known;
    const found = this.#look(file);
    this.#seen.set(key, found);
    return found;
  }

  /** What was seen at a path in this run. */
  known(path: Buffer): Source | RefusedLook | undefined {
    return this.#seen.get(path.toString('latin1'));
  }

  /** Opens a candidate if it did not change since the look. @throws EMFILE, ENFILE */
  open({ path, identity }: Source): OpenedSource | Suspect | Absent {
    return openSourceSync({ path, recorded: identity }, this.access);
  }

  #look({ path, size }: Pick<CollectionFile, 'path' | 'size'>): Source | RefusedLook {
    // Synchronous: a command has nothing else to do, and a promise a file takes ten times as long.
    const looked = lookAtSource({ path, recorded: { size } }, this.access);
    if (looked.state !== 'as recorded') return { refused: looked.why.says, code: looked.why.code };
    const { identity } = looked;
    return { path, identity, inode: `${identity.dev}:${identity.ino}`, seen: true };
  }
}
