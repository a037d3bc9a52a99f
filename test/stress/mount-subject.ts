/** A mount that one process serves and another works on. */
import { join } from 'node:path';
import type { ServeOptions } from '../conformance/messages.ts';
import { Server } from '../conformance/server.ts';
import type { Fixture } from './fixture.ts';
import { FolderTarget } from './folder-target.ts';
import { type Limits, limitsOf } from './limits.ts';
import type { Subject } from './subject.ts';

export class MountSubject implements Subject {
  readonly target = new FolderTarget('the mount', { isReference: false });
  readonly limits: Limits;
  /** Starting takes a second. */
  readonly restartEvery = 2000;
  readonly #options: ServeOptions;
  readonly #fixture: Fixture;
  #server: Server;
  #name = '';

  private constructor(options: ServeOptions, fixture: Fixture, server: Server) {
    this.limits = limitsOf(options.driver);
    this.#options = options;
    this.#fixture = fixture;
    this.#server = server;
  }

  static async start(options: ServeOptions, fixture: Fixture): Promise<MountSubject> {
    return new MountSubject(options, fixture, await Server.start(options));
  }

  /** The log of the server since its last start. */
  get log(): string {
    return this.#server.log;
  }

  get #root(): string {
    return join(this.#options.mountPoint, this.#name);
  }

  async begin(name: string): Promise<void> {
    this.#name = name;
    await this.#server.create(this.#fixture.plan(name));
    await this.target.begin(this.#root);
  }

  async restart(): Promise<void> {
    await this.target.begin(this.#root);
    await this.#server.unmount();
    this.#server = await Server.start(this.#options);
  }

  async end(): Promise<void> {
    await this.target.begin(this.#root);
    await this.#server.remove(this.#fixture.plan(this.#name).infoHash);
  }

  async close(): Promise<void> {
    await this.target.close();
    await this.#server.stop();
  }
}
