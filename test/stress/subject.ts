/** The subject that is compared with the reference; begins and ends runs on it. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Fixture } from './fixture.ts';
import { FolderTarget } from './folder-target.ts';
import { type Limits, NO_LIMITS } from './limits.ts';
import type { Target } from './target.ts';

export interface Subject {
  readonly target: Target;
  readonly limits: Limits;
  /** After this many operations it is ended and started again, and at the end of each episode. */
  readonly restartEvery: number;
  /** The log of its server, if it has one. */
  readonly log?: string;
  /** Shows the fixture under a name of its own, in which the target then works. */
  begin(name: string): Promise<void>;
  /** Ends all handles and the server, and starts it again. */
  restart(): Promise<void>;
  /** Removes it again. */
  end(): Promise<void>;
  close(): Promise<void>;
}

/** An ordinary folder: the reference, and the subject in tests of the comparison itself. */
export class FolderSubject implements Subject {
  readonly target: FolderTarget;
  readonly limits = NO_LIMITS;
  readonly restartEvery = 1000;
  readonly #folder: string;
  readonly #fixture: Fixture;
  #root = '';

  constructor(folder: string, fixture: Fixture, options: { readonly isReference: boolean }) {
    this.target = new FolderTarget(options.isReference ? 'the reference' : 'a folder', options);
    this.#folder = folder;
    this.#fixture = fixture;
  }

  async begin(name: string): Promise<void> {
    this.#root = join(this.#folder, name);
    await this.#fixture.copyTo(this.#root);
    await this.target.begin(this.#root);
    for (const path of this.#fixture.paths) await this.target.setMtime(path, this.#fixture.mtime);
  }

  async restart(): Promise<void> {
    await this.target.begin(this.#root);
  }

  async end(): Promise<void> {
    await this.target.begin(this.#folder);
    await rm(this.#root, { recursive: true });
  }

  async close(): Promise<void> {
    await this.target.close();
  }
}
