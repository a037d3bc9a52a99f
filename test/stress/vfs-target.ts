/**
 * The vfs, called in this process. This plays only the kernel's part: it follows paths, keeps the access mode of handles,
 * applies the umask, and finds the end of the file for O_APPEND. There is no mmap here: a mapped read is a read, a mapped
 * write a write.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { PosixError } from '../../src/errors.ts';
import type { Timestamp } from '../../src/native/timestamp.ts';
import { type Attributes, type FileType, type Operations, ROOT_INO } from '../../src/vfs/operations.ts';
import { listed } from '../vfs/volume.ts';
import type { Observed, Operation, SetTime } from './operation.ts';
import type { Outcome, Request, Stat, Target, TreeEntry } from './target.ts';

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_APPEND } = constants;
const ACCESS = O_WRONLY | O_RDWR;
const UMASK = 0o022;
const STICKY_AND_PERMISSIONS = 0o1777;
const READ_AT_ONCE = 1 << 20;
const NOT_THERE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG']);

const TYPE_BITS: Readonly<Record<FileType, number>> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  fifo: 0o010000,
  socket: 0o140000,
  block: 0o060000,
  character: 0o020000,
};

interface Handle {
  /** The vfs's own number for it. */
  readonly handle: number;
  readonly ino: number;
  readonly flags: number;
}

type Answer = Pick<Outcome, 'value' | 'bytes'>;

const nanoseconds = (time: Timestamp): bigint => BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanoseconds);

const toStat = (a: Attributes): Stat => ({
  mode: TYPE_BITS[a.type] | a.mode,
  nlink: a.nlink,
  uid: a.uid,
  gid: a.gid,
  size: a.size,
  rdev: a.rdev,
  ino: a.ino,
  mtime: nanoseconds(a.mtime),
  ctime: nanoseconds(a.ctime),
});

function timeOf(time: SetTime): Timestamp | 'now' | undefined {
  if (time === 'omit') return undefined;
  return time === 'now' ? 'now' : { seconds: time[0], nanoseconds: time[1] };
}

export class VfsTarget implements Target {
  readonly name = 'vfs';
  readonly #handles = new Map<number, Handle>();
  #operations: Operations;
  #root: string;

  /** `root` is a path below the root of the vfs. */
  constructor(operations: Operations, root: string) {
    this.#operations = operations;
    this.#root = root;
  }

  /** Closes all handles. Further operations happen in `root` of `operations`. */
  async begin(operations: Operations, root: string): Promise<void> {
    await this.closeAll();
    this.#operations = operations;
    this.#root = root;
  }

  async closeAll(): Promise<void> {
    for (const { handle } of this.#handles.values()) await this.#operations.release(handle);
    this.#handles.clear();
  }

  async run({ operation, data, observe }: Request): Promise<Outcome> {
    const before = await this.#observe(observe);
    const started = BigInt(Date.now()) * 1_000_000n;
    let answer: Answer | { readonly error: string };
    try {
      answer = await this.#do(operation, data ?? Buffer.alloc(0));
    } catch (error) {
      if (!(error instanceof PosixError)) throw error;
      answer = { error: error.code };
    }
    return { ...answer, before, after: await this.#observe(observe), started };
  }

  async #observe(observe: Request['observe']): Promise<(Stat | undefined)[]> {
    const stats: (Stat | undefined)[] = [];
    for (const { target } of observe) stats.push(await this.#stat(target));
    return stats;
  }

  async #stat(target: Observed): Promise<Stat | undefined> {
    try {
      const ino = typeof target === 'number' ? this.#handles.get(target)?.ino : await this.#resolve(target);
      return ino === undefined ? undefined : toStat(await this.#operations.getattr(ino));
    } catch (error) {
      if (error instanceof PosixError && NOT_THERE.has(error.code)) return undefined;
      throw error;
    }
  }

  async #resolve(path: string): Promise<number> {
    let ino = ROOT_INO;
    for (const name of `${this.#root}/${path}`.split('/')) {
      if (name !== '') ino = (await this.#operations.lookup(ino, name)).ino;
    }
    return ino;
  }

  /** The folder must exist, the name need not. */
  async #place(path: string): Promise<[parent: number, name: string]> {
    const slash = path.lastIndexOf('/');
    const parent = await this.#resolve(path.slice(0, Math.max(0, slash)));
    // The kernel checks that before it asks for a name in it.
    if ((await this.#operations.getattr(parent)).type !== 'directory') throw new PosixError('ENOTDIR');
    return [parent, path.slice(slash + 1)];
  }

  #handle(number: number, wants: 'any' | 'read' | 'write' = 'any'): Handle {
    const handle = this.#handles.get(number);
    if (handle === undefined) throw new PosixError('EBADF');
    const access = handle.flags & ACCESS;
    if ((wants === 'read' && access === O_WRONLY) || (wants === 'write' && access === O_RDONLY)) {
      throw new PosixError('EBADF');
    }
    return handle;
  }

  async #do(operation: Operation, data: Buffer): Promise<Answer> {
    const vfs = this.#operations;
    switch (operation.do) {
      case 'open':
        await this.#open(operation.path, operation.flags, operation.mode, operation.handle);
        return {};
      case 'close': {
        const { handle } = this.#handle(operation.handle);
        this.#handles.delete(operation.handle);
        await vfs.flush(handle);
        await vfs.release(handle);
        return {};
      }
      case 'read':
      case 'mapRead': {
        const { handle, ino } = this.#handle(operation.handle, 'read');
        if (operation.do === 'mapRead') await this.#mustHold(ino, operation);
        return { bytes: await this.#read(handle, operation.position, operation.length) };
      }
      case 'write': {
        const { handle, ino, flags } = this.#handle(operation.handle, 'write');
        const position = (flags & O_APPEND) === 0 ? operation.position : (await vfs.getattr(ino)).size;
        return { value: await vfs.write(handle, data, position) };
      }
      case 'mapWrite': {
        const { handle, ino } = this.#handle(operation.handle, 'write');
        await this.#mustHold(ino, operation);
        return { value: await vfs.write(handle, data, operation.position) };
      }
      case 'rewrite': {
        const { handle } = this.#handle(operation.handle, 'write');
        const bytes = await this.#read(handle, operation.position, operation.length);
        return { value: await vfs.write(handle, bytes, operation.position) };
      }
      case 'fallocate': {
        const { handle } = this.#handle(operation.handle, 'write');
        await vfs.fallocate(handle, operation.mode, operation.position, operation.length);
        return {};
      }
      case 'ftruncate': {
        const { ino, flags } = this.#handle(operation.handle);
        if ((flags & ACCESS) === O_RDONLY) throw new PosixError('EINVAL');
        await vfs.setattr(ino, { size: operation.size });
        return {};
      }
      case 'fsync':
        await vfs.fsync(this.#handle(operation.handle).handle, operation.dataOnly);
        return {};
      case 'fsyncdir':
        await vfs.fsyncdir(await this.#resolve(operation.path));
        return {};
      case 'truncate':
        await vfs.setattr(await this.#resolve(operation.path), { size: operation.size });
        return {};
      case 'unlink':
        await vfs.unlink(...(await this.#place(operation.path)));
        return {};
      case 'rmdir':
        await vfs.rmdir(...(await this.#place(operation.path)));
        return {};
      case 'mkdir':
        await vfs.mkdir(...(await this.#place(operation.path)), operation.mode & ~UMASK);
        return {};
      case 'mkfifo':
        await vfs.mknod(...(await this.#place(operation.path)), 'fifo', operation.mode & ~UMASK, 0);
        return {};
      case 'symlink':
        await vfs.symlink(...(await this.#place(operation.path)), operation.target);
        return {};
      case 'link':
        await vfs.link(await this.#resolve(operation.path), ...(await this.#place(operation.to)));
        return {};
      case 'rename': {
        const [from, to] = [await this.#place(operation.path), await this.#place(operation.to)];
        await vfs.rename(...from, ...to, operation.flags);
        return {};
      }
      case 'chmod': {
        const mode = operation.mode & STICKY_AND_PERMISSIONS;
        await vfs.setattr(await this.#resolve(operation.path), { mode });
        return {};
      }
      case 'chown': {
        const { uid, gid } = operation;
        await vfs.setattr(await this.#resolve(operation.path), { uid, gid });
        return {};
      }
      case 'utimens': {
        const [atime, mtime] = [timeOf(operation.atime), timeOf(operation.mtime)];
        // If both times stay, utimensat(2) does not even look at the file.
        if (atime === undefined && mtime === undefined) return {};
        const ino = await this.#resolve(operation.path);
        await vfs.setattr(ino, {
          ...(atime === undefined ? {} : { atime }),
          ...(mtime === undefined ? {} : { mtime }),
        });
        return {};
      }
      case 'readdir':
        return { value: await this.#names(await this.#resolve(operation.path)) };
      case 'readlink':
        return { value: await vfs.readlink(await this.#resolve(operation.path)) };
      default:
        operation.do satisfies 'stat';
        await vfs.getattr(await this.#resolve(operation.path));
        return {};
    }
  }

  async #open(path: string, flags: number, mode: number, number: number): Promise<void> {
    const vfs = this.#operations;
    const [parent, name] = await this.#place(path);
    let ino: number | undefined;
    try {
      ({ ino } = await vfs.lookup(parent, name));
    } catch (error) {
      if (!(error instanceof PosixError && error.code === 'ENOENT' && (flags & O_CREAT) !== 0)) throw error;
    }
    if (ino === undefined) {
      const created = await vfs.create(parent, name, mode & ~UMASK, flags & ~(O_CREAT | O_EXCL));
      this.#handles.set(number, { handle: created.handle, ino: created.attributes.ino, flags });
      return;
    }
    if ((flags & O_EXCL) !== 0) throw new PosixError('EEXIST');
    this.#handles.set(number, { handle: await vfs.open(ino, flags & ~O_CREAT), ino, flags });
  }

  /** As in the worker: nothing beyond the end is mapped. */
  async #mustHold(ino: number, { position, length }: { position: number; length: number }): Promise<void> {
    if (position + length > (await this.#operations.getattr(ino)).size) throw new PosixError('EINVAL');
  }

  async #read(handle: number, position: number, length: number): Promise<Buffer> {
    const buffer = Buffer.alloc(length, 0xaa);
    const got = await this.#operations.read(handle, buffer, position);
    return buffer.subarray(0, got);
  }

  async #names(ino: number): Promise<string[]> {
    return (await listed(this.#operations, ino)).map(({ name }) => name).toSorted(byBytes);
  }

  async tree(): Promise<readonly TreeEntry[]> {
    const found: TreeEntry[] = [];
    const walk = async (path: string, ino: number): Promise<void> => {
      const attributes = await this.#operations.getattr(ino);
      const stat = { path, ...toStat(attributes) };
      if (attributes.type === 'file') {
        found.push({ ...stat, ...(await this.#hashOf(ino)) });
      } else if (attributes.type === 'symlink') {
        found.push({ ...stat, target: await this.#operations.readlink(ino) });
      } else {
        found.push(stat);
      }
      if (attributes.type !== 'directory') return;
      for (const name of await this.#names(ino)) {
        await walk(path === '' ? name : `${path}/${name}`, (await this.#operations.lookup(ino, name)).ino);
      }
    };
    await walk('', await this.#resolve(''));
    return found;
  }

  async #hashOf(ino: number): Promise<Pick<TreeEntry, 'hash' | 'read'>> {
    try {
      const bytes = await this.#contentOf(ino);
      return { hash: createHash('sha1').update(bytes).digest('hex'), read: bytes.length };
    } catch (error) {
      if (error instanceof PosixError) return { hash: error.code };
      throw error;
    }
  }

  async content(path: string): Promise<Buffer> {
    return await this.#contentOf(await this.#resolve(path));
  }

  async #contentOf(ino: number): Promise<Buffer> {
    const handle = await this.#operations.open(ino, O_RDONLY);
    try {
      const parts: Buffer[] = [];
      let position = 0;
      for (;;) {
        const part = await this.#read(handle, position, READ_AT_ONCE);
        if (part.length === 0) return Buffer.concat(parts);
        parts.push(part);
        position += part.length;
      }
    } finally {
      await this.#operations.release(handle);
    }
  }
}

/** Sorts as Python does: by code points, which is the order of the bytes of UTF-8. */
const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
