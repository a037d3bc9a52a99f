/**
 * Chooses the next operation as fsx and fsstress do: mostly on files that exist, now and then one that must fail. An
 * operation has one fault at most, since POSIX does not say which of two errors is reported.
 */
import { constants } from 'node:fs';
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from '../../src/vfs/operations.ts';
import { can, type Limits } from './limits.ts';
import { KEEP_SIZE, type Model, type ModelDentry, type ModelHandle, PUNCH_HOLE, ZERO_RANGE } from './model.ts';
import type { Operation, OperationName, SetTime } from './operation.ts';
import { Places } from './places.ts';
import type { Random } from './random.ts';
import { fillFor, LONGEST, rangeIn, sizeFor } from './ranges.ts';

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND } = constants;
const ACCESS = O_WRONLY | O_RDWR;

const MOST_NAMES = 110;
const MOST_HANDLES = 12;

const WEIGHTS: Readonly<Record<OperationName, number>> = {
  open: 10,
  close: 6,
  read: 9,
  write: 14,
  rewrite: 3,
  mapRead: 5,
  mapWrite: 6,
  ftruncate: 5,
  truncate: 3,
  fallocate: 4,
  fsync: 2,
  fsyncdir: 0.3,
  rename: 8,
  unlink: 4,
  link: 3,
  symlink: 1.5,
  readlink: 1,
  mkdir: 3,
  rmdir: 2.5,
  readdir: 2,
  stat: 2,
  chmod: 2,
  chown: 1,
  utimens: 4,
  mkfifo: 0.7,
};

export class Generator {
  readonly #random: Random;
  readonly #model: Model;
  readonly #limits: Limits;
  readonly #weights: Partial<Record<OperationName, number>>;
  readonly #places: Places;

  constructor(random: Random, model: Model, limits: Limits) {
    this.#random = random;
    this.#model = model;
    this.#limits = limits;
    this.#places = new Places(random, model);
    this.#weights = { ...WEIGHTS };
    if (!can(limits, 'fallocate')) delete this.#weights.fallocate;
    if (process.getuid?.() !== 0) delete this.#weights.chown;
  }

  next(): Operation {
    this.#places.look();
    for (;;) {
      const operation = this.#attempt(this.#chooseName());
      if (operation !== undefined && !this.#isBeyond(operation)) return operation;
    }
  }

  /** True: the operation asks for something that the target cannot do. */
  #isBeyond(operation: Operation): boolean {
    if (operation.do !== 'rmdir' && operation.do !== 'rename') return false;
    const gone = this.#model.at(operation.do === 'rename' ? operation.to : operation.path);
    if (gone === undefined) return false;
    if (!can(this.#limits, 'orphansOfGoneFolders') && this.#model.holdsOrphans(gone)) return true;
    const isItself = operation.do === 'rename' && this.#model.at(operation.path) === gone && gone.handles.size > 0;
    return isItself && !can(this.#limits, 'renameToItself');
  }

  #chooseName(): OperationName {
    const random = this.#random;
    if (this.#places.dentries.length > MOST_NAMES && random.chance(0.5))
      return random.pick(['unlink', 'rmdir', 'rename']);
    if (this.#model.handles.size > MOST_HANDLES) return 'close';
    return random.weighted(this.#weights);
  }

  /** None if there is nothing to work on. */
  #attempt(name: OperationName): Operation | undefined {
    const random = this.#random;
    switch (name) {
      case 'open':
        return this.#open();
      case 'close': {
        const handle = random.pickOrNone([...this.#model.handles.values()]);
        return handle && { do: name, handle: handle.number };
      }
      case 'read':
      case 'mapRead': {
        // A handle that was not opened for it gives EBADF; mmap(2) gives EACCES, which the vfs never sees.
        const handle = this.#handle((flags) => (flags & ACCESS) !== O_WRONLY, name === 'read' ? 0.03 : 0);
        const size = handle?.inode.size ?? 0;
        if (size > 0 && random.chance(0.2))
          return handle && { do: name, handle: handle.number, position: 0, length: size };
        const range = handle && rangeIn(random, handle.inode, name === 'read');
        return range && { do: name, handle: handle.number, ...range };
      }
      case 'write': {
        const handle = this.#handle((flags) => (flags & ACCESS) !== O_RDONLY, 0.03);
        const range = handle && rangeIn(random, handle.inode, true);
        return range && { do: name, handle: handle.number, ...range, fill: fillFor(random, handle.inode) };
      }
      case 'mapWrite':
      case 'rewrite': {
        const handle = this.#handle((flags) => (flags & ACCESS) === O_RDWR && (flags & O_APPEND) === 0);
        const range = handle && rangeIn(random, handle.inode, false);
        if (range === undefined) return undefined;
        const where = { handle: handle!.number, ...range };
        return name === 'rewrite'
          ? { do: name, ...where }
          : { do: name, ...where, fill: fillFor(random, handle!.inode) };
      }
      case 'fallocate': {
        const handle = this.#handle((flags) => (flags & ACCESS) !== O_RDONLY, 0.03);
        const range = handle && rangeIn(random, handle.inode, true);
        const mode = random.pick([0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE]);
        return range && { do: name, handle: handle.number, ...range, mode };
      }
      case 'ftruncate': {
        const handle = this.#handle((flags) => (flags & ACCESS) !== O_RDONLY, 0.03);
        return handle && { do: name, handle: handle.number, size: sizeFor(random, handle.inode) };
      }
      case 'fsync': {
        const handle = random.pickOrNone([...this.#model.handles.values()]);
        return handle && { do: name, handle: handle.number, dataOnly: random.chance(0.3) };
      }
      case 'truncate':
        return this.#truncate();
      case 'unlink':
        return this.#on(name, this.#places.existing(random.weighted({ file: 10, symlink: 2, fifo: 1, directory: 1 })));
      case 'rmdir':
        return this.#on(
          name,
          random.chance(0.6) ? this.#places.emptyFolder() : this.#places.existing(this.#mostly('directory')),
        );
      case 'readdir':
        return { do: name, path: random.chance(0.85) ? this.#places.folder() : this.#places.wrongFor('directory') };
      case 'fsyncdir':
        return { do: name, path: this.#places.folder() };
      case 'stat':
      case 'readlink': {
        const type = name === 'stat' ? random.pick(['file', 'directory', 'symlink', 'fifo'] as const) : 'symlink';
        return this.#on(name, this.#places.existing(this.#mostly(type)));
      }
      case 'mkdir':
      case 'mkfifo':
        return { do: name, path: this.#places.free(), mode: name === 'mkdir' ? 0o700 | this.#mode() : this.#mode() };
      case 'symlink':
        return {
          do: name,
          path: this.#places.free(),
          target: random.pick(['a', '../b', '/no/such', '日本語/é', 't'.repeat(1000)]),
        };
      case 'link':
      case 'rename':
        return name === 'link' ? this.#link() : this.#rename();
      case 'chmod': {
        const type = random.pick(['file', 'file', 'directory', 'fifo'] as const);
        const path = this.#places.existing(type);
        const mode = type === 'directory' ? 0o700 | this.#mode() : this.#mode();
        return path === undefined ? undefined : { do: name, path: this.#mostlyRight(path), mode };
      }
      case 'chown': {
        const path = this.#places.existing(random.pick(['file', 'directory'] as const));
        return path === undefined ? undefined : { do: name, path, uid: this.#id(), gid: this.#id() };
      }
      default: {
        name satisfies 'utimens';
        const path = this.#places.existing(random.pick(['file', 'file', 'directory', 'symlink', 'fifo'] as const));
        return path === undefined ? undefined : { do: name, path: this.#mostlyRight(path), ...this.#times() };
      }
    }
  }

  // Where ------------------------------------------------------------------------------------------------------------

  #mostly(type: 'directory' | 'symlink' | 'file' | 'fifo'): 'directory' | 'symlink' | 'file' | 'fifo' {
    return this.#random.chance(0.85) ? type : this.#random.pick(['file', 'directory', 'symlink', 'fifo']);
  }

  #mostlyRight(path: string): string {
    return this.#random.chance(0.95) ? path : this.#places.missing();
  }

  #on(name: 'unlink' | 'rmdir' | 'readlink' | 'stat', path: string | undefined): Operation | undefined {
    return path === undefined ? undefined : { do: name, path: this.#mostlyRight(path) };
  }

  // Files ------------------------------------------------------------------------------------------------------------

  /** A name through which the bytes of a file may be reached now. */
  #fileName(): ModelDentry | undefined {
    const files = this.#places.dentries.filter(({ inode }) => inode.type === 'file' && inode.size <= LONGEST * 2);
    const originals = files.filter(({ inode }) => inode.original !== undefined);
    const open = files.filter(({ inode }) => inode.handles.size > 0);
    const picked = this.#random.pickOrNone(
      this.#random.pick([files, originals, originals, open].filter((some) => some.length > 0 || some === files)),
    );
    if (picked === undefined || can(this.#limits, 'aliases')) return picked;
    const [handle] = picked.inode.handles;
    if (handle === undefined) return picked;
    return handle.dentry.parent === undefined ? undefined : handle.dentry;
  }

  #open(): Operation | undefined {
    const random = this.#random;
    const handle = this.#model.nextHandle();
    const access = random.pick([O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_RDWR]);
    const append = access !== O_RDONLY && random.chance(0.15) ? O_APPEND : 0;
    const mode = this.#mode();
    if (random.chance(0.35)) {
      const path = this.#places.free(0);
      return { do: 'open', path, flags: access | append | O_CREAT | (random.chance(0.5) ? O_EXCL : 0), mode, handle };
    }
    if (random.chance(0.08)) {
      // A folder opened for writing is EISDIR, a taken name EEXIST, with O_EXCL.
      if (random.chance(0.3)) {
        const path = this.#places.existing('file');
        return path === undefined ? undefined : { do: 'open', path, flags: O_RDWR | O_CREAT | O_EXCL, mode, handle };
      }
      return { do: 'open', path: this.#places.wrongFor('file'), flags: O_RDWR, mode, handle };
    }
    const dentry = this.#fileName();
    if (dentry === undefined) return undefined;
    const truncate =
      access !== O_RDONLY && random.chance(dentry.inode.original === undefined ? 0.15 : 0.04) ? O_TRUNC : 0;
    const create = random.chance(0.1) ? O_CREAT : 0;
    return { do: 'open', path: this.#places.path(dentry), flags: access | append | truncate | create, mode, handle };
  }

  #handle(suits: (flags: number) => boolean, otherwise = 0): ModelHandle | undefined {
    const wrong = this.#random.chance(otherwise);
    return this.#random.pickOrNone([...this.#model.handles.values()].filter(({ flags }) => suits(flags) !== wrong));
  }

  #truncate(): Operation | undefined {
    const random = this.#random;
    if (random.chance(0.1)) {
      // EISDIR, EINVAL for a fifo, and missing names.
      const wrong = random.chance(0.3) ? this.#places.existing('fifo') : this.#places.wrongFor('file');
      return wrong === undefined ? undefined : { do: 'truncate', path: wrong, size: 10 };
    }
    const dentry = this.#fileName();
    return dentry && { do: 'truncate', path: this.#places.path(dentry), size: sizeFor(random, dentry.inode) };
  }

  // Names and attributes ---------------------------------------------------------------------------------------------

  #link(): Operation | undefined {
    const random = this.#random;
    if (random.chance(0.05)) {
      const path = this.#places.existing('directory');
      // A folder is EPERM.
      return path === undefined ? undefined : { do: 'link', path, to: this.#places.free(0) };
    }
    if (random.chance(0.05)) return { do: 'link', path: this.#places.missing(), to: this.#places.below('', 'linked') };
    const path = this.#places.existing(random.weighted({ file: 8, symlink: 1, fifo: 1 }));
    return path === undefined ? undefined : { do: 'link', path, to: this.#places.free() };
  }

  #rename(): Operation | undefined {
    const random = this.#random;
    const flags =
      can(this.#limits, 'renameFlags') && random.chance(0.2) ? random.pick([RENAME_NOREPLACE, RENAME_EXCHANGE]) : 0;
    if (random.chance(0.04)) return { do: 'rename', path: this.#places.missing(), to: 'renamed', flags: 0 };
    const type = random.weighted({ file: 8, directory: 4, symlink: 1, fifo: 1 });
    const path = this.#places.existing(type);
    if (path === undefined) return undefined;
    const over = random.chance(flags === 0 ? 0.3 : 0.6);
    const to = over ? this.#places.existing(random.chance(0.75) ? type : this.#mostly('file')) : this.#places.free();
    if (type === 'directory' && random.chance(0.08)) return { do: 'rename', path, to: `${path}/inside`, flags: 0 };
    // A parent that is no folder would be a second error.
    if (to === undefined || (type !== 'directory' && path.startsWith(`${to}/`))) return undefined;
    // A move into itself is error enough.
    return { do: 'rename', path, to, flags: to.startsWith(`${path}/`) ? 0 : flags };
  }

  /** The owner may always read and write, so that an ordinary user gets as far as root does. */
  #mode(): number {
    return 0o600 | this.#random.between(0, 0o777) | (this.#random.chance(0.05) ? 0o1000 : 0);
  }

  #id(): number {
    return this.#random.pick([0, 1, 1000, 65_534]);
  }

  #times(): { atime: SetTime; mtime: SetTime } {
    const random = this.#random;
    // Far from the present on both sides, so that the value shows that a time was set.
    const seconds = random.pick([
      random.between(0, 1_500_000_000),
      random.between(4_000_000_000, 8_000_000_000),
      can(this.#limits, 'negativeTimes') ? random.between(-1_000_000_000, -1) : 0,
    ]);
    const set = (seconds: number): SetTime => [seconds, this.#nanoseconds()];
    const [atime, mtime] = [
      random.chance(0.4) ? set(random.between(0, 1e9)) : this.#noTime(),
      random.chance(0.8) ? set(seconds) : this.#noTime(),
    ];
    const isAlone = (atime === 'omit') !== (mtime === 'omit');
    return isAlone && !can(this.#limits, 'omittedTimes') ? { atime: 'now', mtime: 'now' } : { atime, mtime };
  }

  #noTime(): SetTime {
    return this.#random.pick<SetTime>(['now', 'omit']);
  }

  #nanoseconds(): number {
    const random = this.#random;
    return can(this.#limits, 'nanoseconds') ? random.between(0, 999_999_999) : random.between(0, 999) * 1_000_000;
  }
}
