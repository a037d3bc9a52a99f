/** What is compared with the reference, and how a run begins and ends on it. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Fixture } from './fixture.ts';
import { FolderTarget } from './folder-target.ts';
import { type Limits, NO_LIMITS } from './limits.ts';
import type { Target } from './target.ts';

export interface Subject {
  readonly target: Target;
  readonly limits: Limits;
  /** After so many operations it is ended and started again, and at the end of each episode. */
  readonly restartEvery: number;
  /** What its server has logged, where there is one. */
  readonly log?: string;
  /** Shows the fixture under a name of its own, which the target then works in. */
  begin(name: string): Promise<void>;
  /** Ends all handles and the server, and starts it again. */
  restart(): Promise<void>;
  /** Takes it away again. */
  end(): Promise<void>;
  close(): Promise<void>;
}

/** An ordinary folder: what the reference is, and what the comparison itself is tested with. */
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
