/** The vfs over a store, in this process. */
import type { Operations } from '../../src/vfs/operations.ts';
import { type OpenVolume, openVolume } from '../harness/volume.ts';
import type { Fixture } from './fixture.ts';
import { NO_LIMITS } from './limits.ts';
import type { Subject } from './subject.ts';
import { VfsTarget } from './vfs-target.ts';

export class VfsSubject implements Subject {
  readonly target: VfsTarget;
  readonly limits = NO_LIMITS;
  readonly restartEvery = 500;
  readonly #statePath: string;
  readonly #fixture: Fixture;
  #opened: OpenVolume;
  #name = '';

  private constructor(statePath: string, fixture: Fixture, opened: OpenVolume) {
    this.#statePath = statePath;
    this.#fixture = fixture;
    this.#opened = opened;
    this.target = new VfsTarget(operationsOf(opened), '');
  }

  static async open(statePath: string, fixture: Fixture): Promise<VfsSubject> {
    return new VfsSubject(statePath, fixture, await openVolume(statePath));
  }

  async begin(name: string): Promise<void> {
    const plan = this.#fixture.plan(name);
    await this.#opened.store.createEntry(plan);
    await this.#opened.store.markAdded([plan.infoHash]);
    this.#name = name;
    await this.target.begin(operationsOf(this.#opened), name);
  }

  async restart(): Promise<void> {
    await this.target.closeAll();
    await this.#opened.close();
    this.#opened = await openVolume(this.#statePath);
    await this.target.begin(operationsOf(this.#opened), this.#name);
  }

  async end(): Promise<void> {
    await this.target.closeAll();
    await this.#opened.store.removeEntry(this.#fixture.plan(this.#name).infoHash);
  }

  async close(): Promise<void> {
    await this.target.closeAll();
    await this.#opened.close();
  }
}

const operationsOf = ({ fileSystem }: OpenVolume): Operations => fileSystem;
