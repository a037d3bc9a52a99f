/**
 * Chooses the next operation: what fsx and fsstress do, to files that exist for the most part, and now and then to what
 * must fail. At most one thing is wrong with an operation, since POSIX does not say which of two errors is told.
 */
import { constants } from 'node:fs';
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from '../../src/vfs/operations.ts';
import { can, type Limits } from './limits.ts';
import {
  KEEP_SIZE,
  type Model,
  type ModelDentry,
  type ModelHandle,
  type ModelInode,
  PUNCH_HOLE,
  pathOf,
  ZERO_RANGE,
} from './model.ts';
import type { Fill, Operation, OperationName, SetTime } from './operation.ts';
import type { Random } from './random.ts';

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND } = constants;
const ACCESS = O_WRONLY | O_RDWR;

const PAGE = 4096;
/** As fsx: the longest file. */
const LONGEST = 256 * 1024;
const LONGEST_IO = 64 * 1024;
const MOST_NAMES = 110;
const MOST_HANDLES = 12;
const DEEPEST = 5;

const LETTERS = Array.from('abcdefghijkl');
const NAMES = [...LETTERS, 'ä ö', '日本語', 'x'.repeat(255), 'é'.repeat(127), 'f.part', '.hidden', "q'$ `\\"];
const TOO_LONG = ['y'.repeat(256), 'é'.repeat(128), 'z'.repeat(1000)];

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
  #dentries: ModelDentry[] = [];

  constructor(random: Random, model: Model, limits: Limits) {
    this.#random = random;
    this.#model = model;
    this.#limits = limits;
    this.#weights = { ...WEIGHTS };
    if (!can(limits, 'fallocate')) delete this.#weights.fallocate;
    if (process.getuid?.() !== 0) delete this.#weights.chown;
  }

  next(): Operation {
    this.#dentries = this.#model.dentries();
    for (;;) {
      const operation = this.#attempt(this.#chooseName());
      if (operation !== undefined && !this.#isBeyond(operation)) return operation;
    }
  }

  /** It deletes a folder from which an open file was deleted, where that cannot be. */
  #isBeyond(operation: Operation): boolean {
    if (can(this.#limits, 'orphansOfGoneFolders')) return false;
    const path = operation.do === 'rmdir' ? operation.path : operation.do === 'rename' ? operation.to : undefined;
    const folder = path === undefined ? undefined : this.#model.at(path);
    return folder !== undefined && this.#model.holdsOrphans(folder);
  }

  #chooseName(): OperationName {
    const random = this.#random;
    if (this.#dentries.length > MOST_NAMES && random.chance(0.5)) return random.pick(['unlink', 'rmdir', 'rename']);
    if (this.#model.handles.size > MOST_HANDLES) return 'close';
    return random.weighted(this.#weights);
  }

  /** None where there is nothing to do it to. */
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
        // What a handle was not opened for is EBADF; of mmap(2) EACCES, which the vfs never sees.
        const handle = this.#handle((flags) => (flags & ACCESS) !== O_WRONLY, name === 'read' ? 0.03 : 0);
        const size = handle?.inode.size ?? 0;
        if (size > 0 && random.chance(0.2))
          return handle && { do: name, handle: handle.number, position: 0, length: size };
        const range = handle && this.#range(handle.inode, name === 'read');
        return range && { do: name, handle: handle.number, ...range };
      }
      case 'write': {
        const handle = this.#handle((flags) => (flags & ACCESS) !== O_RDONLY, 0.03);
        const range = handle && this.#range(handle.inode, true);
        return range && { do: name, handle: handle.number, ...range, fill: this.#fill(handle.inode) };
      }
      case 'mapWrite':
      case 'rewrite': {
        const handle = this.#handle((flags) => (flags & ACCESS) === O_RDWR && (flags & O_APPEND) === 0);
        const range = handle && this.#range(handle.inode, false);
        if (range === undefined) return undefined;
        const where = { handle: handle!.number, ...range };
        return name === 'rewrite' ? { do: name, ...where } : { do: name, ...where, fill: this.#fill(handle!.inode) };
      }
      case 'fallocate': {
        const handle = this.#handle((flags) => (flags & ACCESS) !== O_RDONLY, 0.03);
        const range = handle && this.#range(handle.inode, true);
        const mode = random.pick([0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE]);
        return range && { do: name, handle: handle.number, ...range, mode };
      }
      case 'ftruncate': {
        const handle = this.#handle((flags) => (flags & ACCESS) !== O_RDONLY, 0.03);
        return handle && { do: name, handle: handle.number, size: this.#size(handle.inode) };
      }
      case 'fsync': {
        const handle = random.pickOrNone([...this.#model.handles.values()]);
        return handle && { do: name, handle: handle.number, dataOnly: random.chance(0.3) };
      }
      case 'truncate':
        return this.#truncate();
      case 'unlink':
        return this.#on(name, this.#existing(random.weighted({ file: 10, symlink: 2, fifo: 1, directory: 1 })));
      case 'rmdir':
        return this.#on(name, random.chance(0.6) ? this.#emptyFolder() : this.#existing(this.#mostly('directory')));
      case 'readdir':
        return { do: name, path: random.chance(0.85) ? this.#folder() : this.#wrongFor('directory') };
      case 'fsyncdir':
        return { do: name, path: this.#folder() };
      case 'stat':
      case 'readlink': {
        const type = name === 'stat' ? random.pick(['file', 'directory', 'symlink', 'fifo'] as const) : 'symlink';
        return this.#on(name, this.#existing(this.#mostly(type)));
      }
      case 'mkdir':
      case 'mkfifo':
        return { do: name, path: this.#new(), mode: name === 'mkdir' ? 0o700 | this.#mode() : this.#mode() };
      case 'symlink':
        return {
          do: name,
          path: this.#new(),
          target: random.pick(['a', '../b', '/no/such', '日本語/é', 't'.repeat(1000)]),
        };
      case 'link':
      case 'rename':
        return name === 'link' ? this.#link() : this.#rename();
      case 'chmod': {
        const type = random.pick(['file', 'file', 'directory', 'fifo'] as const);
        const path = this.#existing(type);
        const mode = type === 'directory' ? 0o700 | this.#mode() : this.#mode();
        return path === undefined ? undefined : { do: name, path: this.#mostlyRight(path), mode };
      }
      case 'chown': {
        const path = this.#existing(random.pick(['file', 'directory'] as const));
        return path === undefined ? undefined : { do: name, path, uid: this.#id(), gid: this.#id() };
      }
      default: {
        name satisfies 'utimens';
        const path = this.#existing(random.pick(['file', 'file', 'directory', 'symlink', 'fifo'] as const));
        return path === undefined ? undefined : { do: name, path: this.#mostlyRight(path), ...this.#times() };
      }
    }
  }

  // Where ------------------------------------------------------------------------------------------------------------

  #path(dentry: ModelDentry): string {
    return pathOf(dentry, this.#model.root);
  }

  #below(folder: string, name: string): string {
    return folder === '' ? name : `${folder}/${name}`;
  }

  #mostly(type: 'directory' | 'symlink' | 'file' | 'fifo'): 'directory' | 'symlink' | 'file' | 'fifo' {
    return this.#random.chance(0.85) ? type : this.#random.pick(['file', 'directory', 'symlink', 'fifo']);
  }

  #existing(type: 'file' | 'directory' | 'symlink' | 'fifo'): string | undefined {
    const found = this.#random.pickOrNone(this.#dentries.filter(({ inode }) => inode.type === type));
    return found && this.#path(found);
  }

  #emptyFolder(): string | undefined {
    const found = this.#dentries.filter(({ inode }) => inode.type === 'directory' && inode.children.size === 0);
    const picked = this.#random.pickOrNone(found);
    return picked && this.#path(picked);
  }

  /** Of the root, too. */
  #folder(): string {
    return this.#random.chance(0.2) ? '' : (this.#existing('directory') ?? '');
  }

  #mostlyRight(path: string): string {
    return this.#random.chance(0.95) ? path : this.#missing();
  }

  #on(name: 'unlink' | 'rmdir' | 'readlink' | 'stat', path: string | undefined): Operation | undefined {
    return path === undefined ? undefined : { do: name, path: this.#mostlyRight(path) };
  }

  /** ENOENT in three ways, ENOTDIR, ENAMETOOLONG. */
  #missing(): string {
    const random = this.#random;
    const folder = this.#folder();
    switch (random.pick(['name', 'folder', 'below', 'long'])) {
      case 'folder':
        return this.#below(folder, `missing ${random.between(0, 1e9)}/a`);
      case 'below':
        return this.#below(this.#existing('file') ?? folder, 'below');
      case 'long':
        return this.#below(folder, random.pick(TOO_LONG));
      default:
        // Where this makes something, it is of another name than all that is missing later.
        return this.#below(folder, `missing ${random.between(0, 1e9)}`);
    }
  }

  #wrongFor(type: 'file' | 'directory'): string {
    const other = this.#existing(type === 'file' ? 'directory' : 'file');
    return other !== undefined && this.#random.chance(0.5) ? other : this.#missing();
  }

  /** A name that is free for the most part; now and then one that is taken, or one that cannot be. */
  #new(taken = 0.08): string {
    const random = this.#random;
    if (random.chance(0.05)) return this.#missing();
    const folders = this.#dentries.filter(
      ({ inode, parent }) => inode.type === 'directory' && this.#depth(parent) < DEEPEST,
    );
    const dentry = random.chance(0.15) ? undefined : random.pickOrNone(folders);
    const inode = dentry?.inode ?? this.#model.root;
    const folder = dentry === undefined ? '' : this.#path(dentry);
    const wanted = random.chance(taken);
    const names = NAMES.filter((name) => inode.children.has(name) === wanted);
    return this.#below(folder, random.pickOrNone(names) ?? `n${random.between(0, 1e6)}`);
  }

  #depth(folder: ModelInode | undefined): number {
    let depth = 0;
    for (let at = folder; at !== undefined && at !== this.#model.root; depth++) at = [...at.dentries][0]?.parent;
    return depth;
  }

  // Files ------------------------------------------------------------------------------------------------------------

  /** A name through which the bytes of a file may be reached just now. */
  #fileName(): ModelDentry | undefined {
    const files = this.#dentries.filter(({ inode }) => inode.type === 'file' && inode.size <= LONGEST * 2);
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
      const path = this.#new(0);
      return { do: 'open', path, flags: access | append | O_CREAT | (random.chance(0.5) ? O_EXCL : 0), mode, handle };
    }
    if (random.chance(0.08)) {
      // A folder opened for writing is EISDIR, a taken name EEXIST, with O_EXCL.
      if (random.chance(0.3)) {
        const path = this.#existing('file');
        return path === undefined ? undefined : { do: 'open', path, flags: O_RDWR | O_CREAT | O_EXCL, mode, handle };
      }
      return { do: 'open', path: this.#wrongFor('file'), flags: O_RDWR, mode, handle };
    }
    const dentry = this.#fileName();
    if (dentry === undefined) return undefined;
    const truncate =
      access !== O_RDONLY && random.chance(dentry.inode.original === undefined ? 0.15 : 0.04) ? O_TRUNC : 0;
    const create = random.chance(0.1) ? O_CREAT : 0;
    return { do: 'open', path: this.#path(dentry), flags: access | append | truncate | create, mode, handle };
  }

  #handle(suits: (flags: number) => boolean, otherwise = 0): ModelHandle | undefined {
    const wrong = this.#random.chance(otherwise);
    return this.#random.pickOrNone([...this.#model.handles.values()].filter(({ flags }) => suits(flags) !== wrong));
  }

  #truncate(): Operation | undefined {
    const random = this.#random;
    if (random.chance(0.1)) {
      // EISDIR, EINVAL for a fifo, and what is missing.
      const wrong = random.chance(0.3) ? this.#existing('fifo') : this.#wrongFor('file');
      return wrong === undefined ? undefined : { do: 'truncate', path: wrong, size: 10 };
    }
    const dentry = this.#fileName();
    return dentry && { do: 'truncate', path: this.#path(dentry), size: this.#size(dentry.inode) };
  }

  /** Shorter, longer, the same; often at the edge of a page; seldom so short that nothing is left to work on. */
  #size(inode: ModelInode): number {
    const random = this.#random;
    const { size } = inode;
    const sizes = {
      same: size,
      shorter: random.between(Math.floor(size / 2), size),
      longer: Math.min(LONGEST, size + random.between(1, 40_000)),
      slightlyShorter: Math.max(0, size - random.between(1, 5000)),
      slightlyLonger: Math.min(LONGEST + 5000, size + random.between(1, 5000)),
      anywhere: random.between(0, LONGEST),
      empty: 0,
    };
    const wanted =
      sizes[
        random.weighted({
          same: 2,
          shorter: 3,
          longer: 3,
          slightlyShorter: 2,
          slightlyLonger: 2,
          anywhere: 1,
          empty: inode.original === undefined ? 1 : 0.2,
        })
      ];
    return random.chance(0.2) ? wanted - (wanted % PAGE) : wanted;
  }

  /** Within the file, or also at and beyond its end. None where it must be within, and the file is empty. */
  #range(inode: ModelInode, beyond: boolean): { position: number; length: number } | undefined {
    const random = this.#random;
    const { size } = inode;
    if (!beyond && size === 0) return undefined;
    const over = beyond && random.chance(0.25);
    const end = over ? Math.min(LONGEST, size + 20_000) : size;
    let position = random.between(0, Math.max(0, end - (over ? 0 : 1)));
    if (beyond && random.chance(0.1)) position = size;
    let length = random.pick([
      random.between(1, 100),
      random.between(1, PAGE * 2),
      PAGE,
      PAGE * random.between(1, 8),
      random.between(1, LONGEST_IO),
    ]);
    if (random.chance(0.3)) position -= position % PAGE;
    // Up to the end, exactly.
    if (position < size && random.chance(0.15)) length = Math.min(LONGEST_IO, size - position);
    if (!beyond) length = Math.min(length, size - position);
    return { position, length };
  }

  #fill(inode: ModelInode): Fill {
    const random = this.#random;
    if (inode.original !== undefined && random.chance(0.25)) return { kind: 'original', file: inode.original };
    return random.chance(0.12) ? { kind: 'zeros' } : { kind: 'random', seed: random.seed() };
  }

  // Names and attributes ---------------------------------------------------------------------------------------------

  #link(): Operation | undefined {
    const random = this.#random;
    if (random.chance(0.05)) {
      const path = this.#existing('directory');
      // A folder is EPERM.
      return path === undefined ? undefined : { do: 'link', path, to: this.#new(0) };
    }
    if (random.chance(0.05)) return { do: 'link', path: this.#missing(), to: this.#below('', 'linked') };
    const path = this.#existing(random.weighted({ file: 8, symlink: 1, fifo: 1 }));
    return path === undefined ? undefined : { do: 'link', path, to: this.#new() };
  }

  #rename(): Operation | undefined {
    const random = this.#random;
    const flags =
      can(this.#limits, 'renameFlags') && random.chance(0.2) ? random.pick([RENAME_NOREPLACE, RENAME_EXCHANGE]) : 0;
    if (random.chance(0.04)) return { do: 'rename', path: this.#missing(), to: 'renamed', flags: 0 };
    const type = random.weighted({ file: 8, directory: 4, symlink: 1, fifo: 1 });
    const path = this.#existing(type);
    if (path === undefined) return undefined;
    const over = random.chance(flags === 0 ? 0.3 : 0.6);
    const to = over ? this.#existing(random.chance(0.75) ? type : this.#mostly('file')) : this.#new();
    if (type === 'directory' && random.chance(0.08)) return { do: 'rename', path, to: `${path}/inside`, flags: 0 };
    // What is no folder in the place of the folder that it is in: two errors at once.
    if (to === undefined || (type !== 'directory' && path.startsWith(`${to}/`))) return undefined;
    // Into itself is wrong enough.
    return { do: 'rename', path, to, flags: to.startsWith(`${path}/`) ? 0 : flags };
  }

  /** The owner may always read and write: an ordinary user is to get as far as root does. */
  #mode(): number {
    return 0o600 | this.#random.between(0, 0o777) | (this.#random.chance(0.05) ? 0o1000 : 0);
  }

  #id(): number {
    return this.#random.pick([0, 1, 1000, 65_534]);
  }

  #times(): { atime: SetTime; mtime: SetTime } {
    const random = this.#random;
    // Far from the present, on both sides of it, so that a time that was set is known by its value.
    const seconds = random.pick([
      random.between(0, 1_500_000_000),
      random.between(4_000_000_000, 8_000_000_000),
      can(this.#limits, 'negativeTimes') ? random.between(-1_000_000_000, -1) : 0,
    ]);
    const nanoseconds = can(this.#limits, 'nanoseconds')
      ? random.between(0, 999_999_999)
      : random.between(0, 999) * 1_000_000;
    const mtime: SetTime = [seconds, nanoseconds];
    if (!can(this.#limits, 'separateTimes')) return { atime: mtime, mtime };
    const atime = random.pick<SetTime>([[random.between(0, 1e9), random.between(0, 999_999_999)], 'now', 'omit']);
    return { atime, mtime: random.chance(0.8) ? mtime : random.pick<SetTime>(['now', 'omit']) };
  }
}
