/**
 * The folder that keeps generated data from one run to the next. AUTOTORRENT_BENCH_DATA names it; by default it lies in the
 * folder for temporary files. You may delete it at any time when no benchmark runs.
 */
import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { errnoOf } from '../../src/errors.ts';

export interface DataSet {
  /** Everything that the data depend on: kind, version of the generator, sizes, seed. Names a folder. */
  readonly name: string;
  /** Writes the data into an existing, empty folder. */
  readonly generate: (folder: string) => void;
}

export class DataCache {
  readonly folder: string;

  constructor(env: NodeJS.ProcessEnv = process.env) {
    const named = env['AUTOTORRENT_BENCH_DATA'];
    this.folder = resolve(named ?? join(tmpdir(), `autotorrent-bench-data-${userInfo().uid}`));
  }

  /**
   * Returns the folder of a data set, and generates it at the first use. The data are shared: nobody may change them. A
   * generator that is killed leaves nothing that a later run would take for whole.
   * @throws Error if the cache's folder belongs to another user.
   */
  get(set: DataSet): string {
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    if (lstatSync(this.folder).uid !== userInfo().uid) {
      throw new Error(`${this.folder} belongs to another user: name a folder of your own in AUTOTORRENT_BENCH_DATA`);
    }
    const finished = join(this.folder, set.name);
    if (exists(finished)) return finished;
    this.#removeAbandoned();
    process.stderr.write(`generating ${finished} …\n`);
    const partial = join(this.folder, `${set.name}.part-${process.pid}`);
    try {
      mkdirSync(partial);
      set.generate(partial);
      renameSync(partial, finished);
    } catch (error) {
      rmSync(partial, { recursive: true, force: true });
      // Another run has generated the same meanwhile.
      if (!exists(finished)) throw error;
    }
    return finished;
  }

  #removeAbandoned(): void {
    for (const name of readdirSync(this.folder)) {
      const pid = /\.part-(\d+)$/.exec(name)?.[1];
      if (pid !== undefined && !isRunning(Number(pid))) {
        rmSync(join(this.folder, name), { recursive: true, force: true });
      }
    }
  }
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'ESRCH';
  }
}
