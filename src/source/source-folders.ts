/**
 * The folders that may hold sources: the disks of the configuration, folders that users gave to `rebuild`, and folders of
 * autotorrent itself. A path that lies in none of them is never opened.
 *
 * A folder is trusted by the name that the user gave it, so that name is resolved, links included (`real-folder.ts`).
 * Nothing below it is: what lies below must be there under its real path. A folder's real path is remembered, until an
 * opening through it fails.
 */
import { errnoOf, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { isOutOfDescriptors } from '../native/descriptor-budget.ts';
import { isAtOrBelow } from '../native/mountinfo.ts';
import type { StrictCalls } from '../native/strict-paths.ts';
import { readGivenFolders } from './given-folders.ts';
import type { Difference } from './identity.ts';
import type { OwnMounts } from './own-mounts.ts';
import { isNormalPath, rebased } from './paths.ts';
import { type NotFollowed, type RealFolder, realFolder } from './real-folder.ts';
import { RELEASED, type ReleasedFolders } from './released-folders.ts';
import { lstat, runLater, type Steps, step } from './steps.ts';

/** Milliseconds for which it is believed where a folder's name leads, although an opening through it failed. */
const FRESH_MS = 1000;

/** Names the folders; all paths are absolute. It can be sent to threads. */
export interface SourceRules {
  readonly disks: readonly (Uint8Array | string)[];
  /** Folders of autotorrent itself. */
  readonly own?: readonly (Uint8Array | string)[];
  /** The file of `given-folders.ts`. */
  readonly given?: string;
  /** Folders on disks that are to be unmounted: what lies below them counts as not there. */
  readonly released?: readonly (Uint8Array | string)[];
}

export interface SourceFoldersTools {
  readonly ownMounts: OwnMounts;
  readonly released: ReleasedFolders;
  readonly calls: () => StrictCalls;
  readonly logger: Logger;
  /** Tells the disks that the configuration names by now, for a process that outlives changes of it. */
  readonly disksNow?: (() => Promise<readonly string[]>) | undefined;
}

interface TrustedFolder {
  readonly named: Buffer;
  readonly own: boolean;
  /** Undefined: not resolved yet. */
  real?: Buffer | Difference;
  resolvedAt: number;
}

/** Where a path leads if nothing below its folder is a link. */
export interface Place {
  readonly real: Buffer;
  readonly folder: TrustedFolder;
}

const OUTSIDE: Difference = {
  code: 'outside',
  says: 'lies on no disk of the configuration: name its folder in [disks], or run autotorrent rebuild FOLDER',
};
const MALFORMED: Difference = { code: 'outside', says: 'has no absolute path without `.` and `..`' };

export class SourceFolders {
  readonly rules: SourceRules;
  #named: readonly TrustedFolder[];
  readonly #ownMounts: OwnMounts;
  readonly #released: ReleasedFolders;
  readonly #calls: () => StrictCalls;
  readonly #logger: Logger;
  readonly #disksNow: SourceFoldersTools['disksNow'];
  #given: readonly TrustedFolder[] = [];
  /** The state of the file of given folders that was read. */
  #read = '';
  #warned = '';

  constructor(rules: SourceRules, { ownMounts, released, calls, logger, disksNow }: SourceFoldersTools) {
    this.rules = rules;
    this.#ownMounts = ownMounts;
    this.#released = released;
    this.#calls = calls;
    this.#logger = logger;
    this.#disksNow = disksNow;
    const { disks, own = [] } = rules;
    this.#named = [...own.map((path) => trusted(path, true)), ...disks.map((path) => trusted(path, false))];
  }

  /** Finds where a path leads, without a system call; undefined if one is needed to tell. */
  known(path: Buffer): Place | undefined {
    let found: TrustedFolder | undefined;
    for (const folder of this.#all()) {
      if (!isAtOrBelow(path, folder.named)) continue;
      if (found !== undefined) return undefined;
      found = folder;
    }
    if (found === undefined || !Buffer.isBuffer(found.real) || !isNormalPath(path)) return undefined;
    const real = rebased(path, found.named, found.real);
    return this.#released.holds(path) || this.#released.holds(real) ? undefined : { real, folder: found };
  }

  /** Finds where a path leads, without making this thread wait. */
  async find(path: Buffer): Promise<Place | Difference> {
    return this.known(path) ?? (await runLater(this.placeOf(path)));
  }

  /** Finds where a path leads. */
  *placeOf(path: Buffer): Steps<Place | Difference> {
    const known = this.known(path);
    if (known !== undefined) return known;
    if (!isNormalPath(path)) return MALFORMED;
    if (this.#released.holds(path)) return RELEASED;
    let holders = this.#holdersOf(path);
    if (holders.length === 0) {
      yield* this.#readGiven();
      yield* this.#readDisks();
      holders = this.#holdersOf(path);
    }
    let refused: Difference | undefined;
    for (const folder of holders) {
      const real = yield* this.#realOf(folder);
      if (Buffer.isBuffer(real)) return this.#unlessReleased({ real: rebased(path, folder.named, real), folder });
      refused ??= real;
    }
    return refused ?? (yield* this.#byRealPath(path)) ?? OUTSIDE;
  }

  /** Finds a path again after an opening failed. Undefined if it leads to where it did. */
  *again(path: Buffer, before: Place): Steps<Place | Difference | undefined> {
    const { folder } = before;
    if (performance.now() - folder.resolvedAt < FRESH_MS) return undefined;
    delete folder.real;
    const place = yield* this.placeOf(path);
    return 'real' in place && place.real.equals(before.real) ? undefined : place;
  }

  /** Lists the folders of users that hold sources, as they are named now. */
  async ofUsers(): Promise<readonly Buffer[]> {
    await runLater(this.#readGiven());
    await runLater(this.#readDisks());
    return this.#all().flatMap(({ named, own }) => (own ? [] : [named]));
  }

  #all(): readonly TrustedFolder[] {
    return this.#given.length === 0 ? this.#named : [...this.#named, ...this.#given];
  }

  /** Our own folders first, then the innermost: it may be a link, which its own name makes trusted. */
  #holdersOf(path: Buffer): TrustedFolder[] {
    return this.#all()
      .filter(({ named }) => isAtOrBelow(path, named))
      .toSorted((a, b) => Number(b.own) - Number(a.own) || b.named.length - a.named.length);
  }

  /** The path may be the real one of a folder that was named otherwise. */
  *#byRealPath(path: Buffer): Steps<Place | undefined> {
    for (const folder of this.#all()) {
      const real = yield* this.#realOf(folder);
      if (Buffer.isBuffer(real) && isAtOrBelow(path, real)) return { real: path, folder };
    }
    return undefined;
  }

  #unlessReleased(place: Place): Place | Difference {
    return this.#released.holds(place.real) ? RELEASED : place;
  }

  *#realOf(folder: TrustedFolder): Steps<Buffer | Difference> {
    const { real } = folder;
    if (Buffer.isBuffer(real)) return real;
    if (real !== undefined && performance.now() - folder.resolvedAt < FRESH_MS) return real;
    const found = yield* this.#resolved(folder);
    if (found !== undefined && 'code' in found) return found;
    folder.resolvedAt = performance.now();
    if (found === undefined || 'says' in found) {
      folder.real = notFollowed(folder.named, found);
    } else folder.real = found.real;
    return folder.real;
  }

  /** Follows the name of a folder. */
  *#resolved({ named, own }: TrustedFolder): Steps<RealFolder | NotFollowed | Difference | undefined> {
    const end = this.#released.begin(named);
    try {
      if (this.#released.holds(named)) return RELEASED;
      return yield* realFolder(named, { followAll: own, avoid: this.#ownMounts.paths, calls: this.#calls() });
    } finally {
      end();
    }
  }

  /** Adds disks that were added to the configuration. Those that were taken out of it count as long as this process runs. */
  *#readDisks(): Steps<void> {
    const disksNow = this.#disksNow;
    if (disksNow === undefined) return;
    const none: readonly string[] = [];
    const disks = yield* step(() => none, disksNow);
    const known = new Set(this.#named.map(({ named }) => named.toString('latin1')));
    const fresh = disks.map((disk) => trusted(disk, false)).filter(({ named }) => !known.has(named.toString('latin1')));
    if (fresh.length > 0) this.#named = [...this.#named, ...fresh];
  }

  *#readGiven(): Steps<void> {
    const { given } = this.rules;
    if (given === undefined) return;
    try {
      const { dev, ino, size, mtimeMs, ctimeMs } = yield* lstat(Buffer.from(given));
      const state = [dev, ino, size, mtimeMs, ctimeMs].join(' ');
      if (state === this.#read) return;
      const found = yield* readGivenFolders(given);
      this.#read = state;
      if (found !== undefined && 'problem' in found) this.#warn(`${given} ${found.problem}`);
      else this.#note(found ?? []);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') this.#note([]);
      else if (errnoOf(error) === undefined || isOutOfDescriptors(error)) throw error;
      else this.#warn(`${given} cannot be read: ${messageOf(error)}`);
    }
  }

  #note(folders: readonly Buffer[]): void {
    const before = new Map(this.#given.map((folder) => [folder.named.toString('latin1'), folder]));
    this.#given = folders.map((path) => before.get(path.toString('latin1')) ?? trusted(path, false));
    this.#warned = '';
  }

  #warn(problem: string): void {
    if (problem !== this.#warned) {
      this.#logger.warn(
        `${problem}: no file in a folder that was given to rebuild is served; autotorrent rebuild FOLDER makes it anew`,
      );
    }
    this.#warned = problem;
    this.#given = [];
  }
}

function notFollowed(named: Buffer, found: NotFollowed | undefined): Difference {
  if (found === undefined) return { code: 'own-mount', says: 'lies on a mount of autotorrent itself' };
  const remedy = 'name the folder that it leads to in [disks], and run autotorrent rebuild';
  return { code: 'redirected', says: `lies on ${named.toString()}, which ${found.says}: ${remedy}` };
}

function trusted(path: Uint8Array | string, own: boolean): TrustedFolder {
  const named =
    typeof path === 'string' ? Buffer.from(path) : Buffer.from(path.buffer, path.byteOffset, path.byteLength);
  return { named, own, resolvedAt: Number.NEGATIVE_INFINITY };
}
