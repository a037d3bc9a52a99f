/** The vfs over a store, in this process. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { silentLogger } from '../../src/logger.ts';
import { DescriptorBudget } from '../../src/native/descriptor-budget.ts';
import { loadLibc } from '../../src/native/libc.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';
import { Store } from '../../src/store/store.ts';
import { FileSystem } from '../../src/vfs/file-system.ts';
import type { Operations } from '../../src/vfs/operations.ts';
import type { Fixture } from './fixture.ts';
import { NO_LIMITS } from './limits.ts';
import type { Subject } from './subject.ts';
import { VfsTarget } from './vfs-target.ts';

interface Opened {
  readonly store: Store;
  readonly fileSystem: FileSystem;
  readonly close: () => Promise<void>;
}

async function open(statePath: string): Promise<Opened> {
  await mkdir(statePath, { recursive: true });
  const level = new Level<Buffer, Buffer>(join(statePath, 'store'), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await level.open();
  const store = await Store.open(level, { logger: silentLogger, statePath });
  const fileSystem = new FileSystem({
    store,
    libc: loadLibc(silentLogger),
    logger: silentLogger,
    ownMounts: new OwnMounts(),
    descriptors: DescriptorBudget.ofProcess(),
    statePath,
    umask: 0o022,
    owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
  });
  const close = async (): Promise<void> => {
    fileSystem.close();
    await store.close();
    await level.close();
  };
  return { store, fileSystem, close };
}

export class VfsSubject implements Subject {
  readonly target: VfsTarget;
  readonly limits = NO_LIMITS;
  readonly restartEvery = 500;
  readonly #statePath: string;
  readonly #fixture: Fixture;
  #opened: Opened;
  #name = '';

  private constructor(statePath: string, fixture: Fixture, opened: Opened) {
    this.#statePath = statePath;
    this.#fixture = fixture;
    this.#opened = opened;
    this.target = new VfsTarget(operationsOf(opened), '');
  }

  static async open(statePath: string, fixture: Fixture): Promise<VfsSubject> {
    return new VfsSubject(statePath, fixture, await open(statePath));
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
    this.#opened = await open(this.#statePath);
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

const operationsOf = ({ fileSystem }: Opened): Operations => fileSystem;
