/** A folder of files with a `db` beside it whose index process the tests may look for and kill. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Collection } from '../../../src/collection/collection.ts';
import type { CollectionIndex } from '../../../src/collection/index.ts';
import { type OpenCollectionOptions, openCollection } from '../../../src/collection/open.ts';
import type { RebuildResult } from '../../../src/collection/writer.ts';
import { silentLogger } from '../../../src/logger.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { putFiles } from '../contract.ts';

export class ProcessVolume {
  readonly top = temporaryFolder('index-process');
  readonly disk = join(this.top, 'disk');
  readonly db: string;

  constructor(db = 'db') {
    this.db = join(this.top, db);
    mkdirSync(this.disk);
  }

  get folder(): string {
    return `${this.db}.process`;
  }

  put(files: Readonly<Record<string, number>>): void {
    putFiles(this.disk, files);
  }

  open(options: Partial<OpenCollectionOptions> = {}): Collection {
    return openCollection({ db: this.db }, { logger: silentLogger, signal: new AbortController().signal, ...options });
  }

  rebuild(): Promise<RebuildResult> {
    return this.open().rebuild({ disks: [this.disk] });
  }

  /** The processes that own the index, or wait to. */
  pids(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => {
        const args = readOrNothing(`/proc/${pid}/cmdline`).split('\0');
        return args[1]?.endsWith('/index-process.js') === true && args[2] === this.db;
      })
      .map(Number);
  }

  /** The one process. */
  pid(): number {
    const [pid, other] = this.pids();
    assert.ok(pid !== undefined && other === undefined, `one process, not ${this.pids().join()}`);
    return pid;
  }

  async ended(): Promise<void> {
    await waitUntil('the index process has ended', async () => this.pids().length === 0);
  }

  /** Ends what still runs. */
  async remove(): Promise<void> {
    for (const pid of this.pids()) process.kill(pid, 'SIGTERM');
    await this.ended();
    await rm(this.top, { recursive: true, force: true });
  }
}

/** The names of all files of an index. */
export async function namesOf(index: CollectionIndex): Promise<string[]> {
  const [files = []] = await index.bySize([{ min: 0, max: 1e12, near: 0, limit: 1e6 }]);
  return files.map(({ name }) => name.toString()).toSorted();
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
