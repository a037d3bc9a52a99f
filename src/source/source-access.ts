/** What the opening of sources needs to know: where they may lie, which mounts are our own, and how to open without links. */
import { realpathSync } from 'node:fs';
import { AutotorrentError } from '../errors.ts';
import { type Logger, silentLogger } from '../logger.ts';
import { openCLibrary } from '../native/c-library.ts';
import { loadStrictCalls, type StrictCalls } from '../native/strict-paths.ts';
import type { PlanSource } from '../plan/plan.ts';
import { DiskTurns } from './disk-turns.ts';
import { type FileSystems, openFileSystems } from './file-system.ts';
import { OwnMounts } from './own-mounts.ts';
import { Placing } from './placing.ts';
import { ReleasedFolders } from './released-folders.ts';
import { SourceFolders, type SourceFoldersTools, type SourceRules } from './source-folders.ts';

export interface SourceAccessOptions {
  readonly ownMounts?: OwnMounts;
  /** Default: loaded with the first use, since a command that opens no file need not pay for it. */
  readonly calls?: StrictCalls;
  /** Default: loaded with the first use. */
  readonly fileSystems?: FileSystems;
  readonly logger?: Logger;
  /** Default: the disks stay those of the rules. */
  readonly disksNow?: SourceFoldersTools['disksNow'];
}

/** Folders of which it is remembered that no link leads to them. */
const MOST_FOLDERS = 10_000;

export class SourceAccess {
  readonly ownMounts: OwnMounts;
  readonly folders: SourceFolders;
  /** The server adds disks as they are released; other processes have those of their rules. */
  readonly released: ReleasedFolders;
  #calls: StrictCalls | undefined;
  #fileSystems: FileSystems | undefined;
  #placing: Placing | undefined;
  #turns: DiskTurns | undefined;
  /** Byte strings. */
  readonly #real = new Set<string>();

  constructor(rules: SourceRules, options: SourceAccessOptions = {}) {
    const { ownMounts = new OwnMounts(), calls, fileSystems, logger = silentLogger, disksNow } = options;
    this.ownMounts = ownMounts;
    this.#calls = calls;
    this.#fileSystems = fileSystems;
    this.released = new ReleasedFolders(rules.released);
    const { released } = this;
    this.folders = new SourceFolders(rules, { ownMounts, released, calls: () => this.calls, logger, disksNow });
  }

  get rules(): SourceRules {
    return this.folders.rules;
  }

  get calls(): StrictCalls {
    this.#calls ??= loadStrictCalls(openCLibrary(silentLogger));
    return this.#calls;
  }

  get fileSystems(): FileSystems {
    this.#fileSystems ??= openFileSystems(openCLibrary(silentLogger), this.released);
    return this.#fileSystems;
  }

  /** For the process that serves: its pool of threads is one for all disks. */
  get turns(): DiskTurns {
    this.#turns ??= new DiskTurns(this.fileSystems);
    return this.#turns;
  }

  get placing(): Placing {
    this.#placing ??= new Placing(this.fileSystems, openCLibrary(silentLogger), this.released);
    return this.#placing;
  }

  /**
   * Tells if a folder's path has no link. Remembered as long as this object lives: a look is only an advice, and each
   * opening finds out for itself. @throws the error of realpath(3)
   */
  isRealFolder(folder: Buffer): boolean {
    const key = folder.toString('latin1');
    if (this.#real.has(key)) return true;
    if (!realpathSync.native(folder, { encoding: 'buffer' }).equals(folder)) return false;
    if (this.#real.size >= MOST_FOLDERS) this.#real.clear();
    this.#real.add(key);
    return true;
  }

  /** Passes a plan's sources on. @throws AutotorrentError('UNSUPPORTED') at the first that may not be a source */
  async *refuse(
    sources: Iterable<PlanSource> | AsyncIterable<PlanSource>,
  ): AsyncGenerator<PlanSource, void, undefined> {
    const { ownMounts, folders } = this;
    await ownMounts.refresh();
    for await (const source of sources) {
      const { path } = source;
      if (ownMounts.holdsPath(path) || ownMounts.holdsDevice(source.dev)) {
        throw new AutotorrentError('UNSUPPORTED', `${path.toString()} lies on a mount of autotorrent itself`, {
          hint: 'Take the folder of the mount out of [disks], and run autotorrent rebuild.',
        });
      }
      const place = await folders.find(path);
      if ('says' in place) throw new AutotorrentError('UNSUPPORTED', `${path.toString()} ${place.says}`);
      yield source;
    }
  }
}
