/** The subject of the portable cases: a mount served by a process of its own, or the bare vfs in this process. */
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { createLogger } from '../../src/logger.ts';
import type { Plan } from '../../src/plan/plan.ts';
import type { FileSystemStatus } from '../../src/vfs/file-system.ts';
import { anywhere } from '../harness/anywhere.ts';
import { type OpenVolume, openVolume } from '../harness/volume.ts';
import type { Calls } from './calls.ts';
import type { ServeOptions } from './messages.ts';
import { Server } from './server.ts';
import { VfsCalls } from './vfs-calls.ts';

export interface Subject {
  readonly calls: Calls;
  /** The root, for `calls`: an empty string, or an absolute path. */
  readonly root: string;
  /** The log since the last start. */
  readonly log: string;
  create(plan: Plan): Promise<void>;
  addNames(infoHash: string, names: readonly (readonly string[] | undefined)[]): Promise<void>;
  remove(infoHash: string): Promise<void>;
  status(): Promise<FileSystemStatus>;
  /** Ends as a server does in order, and begins again. No file may be open. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** `folder` is empty, and belongs to the subject. */
export type OpenSubject = (folder: string) => Promise<Subject>;

export class VfsSubject implements Subject {
  readonly calls: Calls = new VfsCalls(() => this.#volume.fileSystem);
  readonly root = '';
  readonly #statePath: string;
  #volume: OpenVolume;
  #lines: string[];

  private constructor(statePath: string, opened: { readonly volume: OpenVolume; readonly lines: string[] }) {
    this.#statePath = statePath;
    this.#volume = opened.volume;
    this.#lines = opened.lines;
  }

  static async open(folder: string): Promise<VfsSubject> {
    const statePath = join(folder, 'state');
    return new VfsSubject(statePath, await VfsSubject.#opened(statePath));
  }

  static async #opened(statePath: string): Promise<{ volume: OpenVolume; lines: string[] }> {
    const lines: string[] = [];
    return { volume: await openVolume(statePath, { logger: createLogger('info', (line) => lines.push(line)) }), lines };
  }

  get log(): string {
    return this.#lines.join('\n');
  }

  async create(plan: Plan): Promise<void> {
    await this.#volume.store.createEntry({ ...plan, sources: anywhere().refuse(plan.sources) });
    await this.#volume.store.markAdded([plan.infoHash]);
  }

  async addNames(infoHash: string, names: readonly (readonly string[] | undefined)[]): Promise<void> {
    await this.#volume.store.addNames(infoHash, names);
  }

  async remove(infoHash: string): Promise<void> {
    await this.#volume.store.removeEntry(infoHash);
  }

  async status(): Promise<FileSystemStatus> {
    return await this.#volume.fileSystem.status();
  }

  async restart(): Promise<void> {
    await this.close();
    const { volume, lines } = await VfsSubject.#opened(this.#statePath);
    this.#volume = volume;
    this.#lines = lines;
  }

  async close(): Promise<void> {
    await this.#volume.close();
  }
}

export class MountSubject implements Subject {
  readonly calls: Calls = fs;
  readonly root: string;
  readonly #options: ServeOptions;
  #server: Server;

  private constructor(options: ServeOptions, server: Server) {
    this.root = options.mountPoint;
    this.#options = options;
    this.#server = server;
  }

  static async open(folder: string, driver: string): Promise<MountSubject> {
    const options = { driver, mountPoint: MountSubject.#rootOf(folder), statePath: join(folder, 'state') };
    return new MountSubject(options, await Server.start(options));
  }

  /** A name that neither a shell nor a line of /proc/mounts takes unescaped. */
  static #rootOf(folder: string): string {
    return join(folder, "store $HOME `id` 'x");
  }

  get log(): string {
    return this.#server.log;
  }

  async create(plan: Plan): Promise<void> {
    await this.#server.create(plan);
  }

  async addNames(infoHash: string, names: readonly (readonly string[] | undefined)[]): Promise<void> {
    await this.#server.addNames(infoHash, names);
  }

  async remove(infoHash: string): Promise<void> {
    await this.#server.remove(infoHash);
  }

  async status(): Promise<FileSystemStatus> {
    return await this.#server.status();
  }

  async restart(): Promise<void> {
    await this.#server.signal('SIGTERM');
    this.#server = await Server.start(this.#options);
  }

  async close(): Promise<void> {
    await this.#server.stop();
  }
}
