/** System calls on the bare vfs, with the kernel's own part before a driver: paths, symlinks, O_APPEND, the umask. */
import { constants } from 'node:fs';
import { PosixError } from '../../src/errors.ts';
import { fromMilliseconds, type Timestamp, toMilliseconds } from '../../src/native/timestamp.ts';
import { type Attributes, type FileType, type Operations, ROOT_INO } from '../../src/vfs/operations.ts';
import { listed } from '../vfs/volume.ts';
import type { Calls, OpenedFile, Stat } from './calls.ts';

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = constants;
/** fcntl.h. */
const O_ACCMODE = 3;
const UMASK = 0o022;
const MAX_LINKS = 40;
/** The most bytes that the kernel asks for in one request. */
const REQUEST_BYTES = 131_072;

const FLAGS: Readonly<Record<string, number>> = {
  r: O_RDONLY,
  'r+': O_RDWR,
  w: O_WRONLY | O_CREAT | O_TRUNC,
  wx: O_WRONLY | O_CREAT | O_TRUNC | O_EXCL,
  a: O_WRONLY | O_CREAT | O_APPEND,
};

const TYPE_BITS: Readonly<Record<FileType, number>> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  fifo: 0o010000,
  socket: 0o140000,
  block: 0o060000,
  character: 0o020000,
};

const statOf = (attributes: Attributes): Stat => ({
  ino: attributes.ino,
  mode: TYPE_BITS[attributes.type] | attributes.mode,
  nlink: attributes.nlink,
  uid: attributes.uid,
  gid: attributes.gid,
  rdev: attributes.rdev,
  size: attributes.size,
  blocks: attributes.blocks,
  atimeMs: toMilliseconds(attributes.atime),
  mtimeMs: toMilliseconds(attributes.mtime),
  ctimeMs: toMilliseconds(attributes.ctime),
});

/** Converts seconds with a fraction, as a driver with millisecond times does. */
const timeOf = (seconds: number): Timestamp => fromMilliseconds(Math.round(seconds * 1000));

/** Where a path leads: its last component, which may not exist, in its folder. */
interface Place {
  readonly parent: number;
  readonly name: string;
}

export class VfsCalls implements Calls {
  readonly #operations: () => Operations;

  /** `operations` gives the vfs that is open now, since a restart opens another one. */
  constructor(operations: () => Operations) {
    this.#operations = operations;
  }

  get #vfs(): Operations {
    return this.#operations();
  }

  async stat(path: string): Promise<Stat> {
    return statOf(await this.#vfs.getattr(await this.#resolve(path)));
  }

  async lstat(path: string): Promise<Stat> {
    return statOf(await this.#vfs.getattr(await this.#resolve(path, { follow: false })));
  }

  async open(path: string, flags: string | number = 'r', mode = 0o666): Promise<OpenedFile> {
    const bits = typeof flags === 'number' ? flags : FLAGS[flags];
    if (bits === undefined) throw new Error(`flags ${flags} are not known here`);
    const { ino, handle } = await this.#open(path, bits, mode);
    return new VfsFile(this.#vfs, ino, handle, bits);
  }

  async #open(path: string, flags: number, mode: number): Promise<{ readonly ino: number; readonly handle: number }> {
    const kept = flags & ~(O_CREAT | O_EXCL | O_APPEND);
    const { parent, name } = await this.#place(path);
    try {
      await this.#vfs.lookup(parent, name);
    } catch (error) {
      if (!(error instanceof PosixError && error.code === 'ENOENT' && (flags & O_CREAT) !== 0)) throw error;
      const { attributes, handle } = await this.#vfs.create(parent, name, mode & ~UMASK, kept);
      return { ino: attributes.ino, handle };
    }
    if ((flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0) throw new PosixError('EEXIST');
    const ino = await this.#resolve(path);
    return { ino, handle: await this.#vfs.open(ino, kept) };
  }

  async readFile(path: string): Promise<Buffer> {
    const file = await this.open(path);
    try {
      const parts: Buffer[] = [];
      for (let position = 0; ; ) {
        // The buffer's earlier content must not show through.
        const { bytesRead, buffer } = await file.read(Buffer.alloc(REQUEST_BYTES, 0xee), 0, REQUEST_BYTES, position);
        if (bytesRead === 0) return Buffer.concat(parts);
        parts.push(buffer.subarray(0, bytesRead));
        position += bytesRead;
      }
    } finally {
      await file.close();
    }
  }

  async writeFile(path: string, data: string | Buffer): Promise<void> {
    const bytes = Buffer.from(data);
    const file = await this.open(path, 'w');
    try {
      await file.write(bytes, 0, bytes.length, 0);
    } finally {
      await file.close();
    }
  }

  async readdir(path: string): Promise<string[]> {
    return (await listed(this.#vfs, await this.#resolve(path))).map(({ name }) => name);
  }

  async mkdir(path: string, mode = 0o777): Promise<void> {
    const { parent, name } = await this.#place(path);
    await this.#vfs.mkdir(parent, name, mode & ~UMASK);
  }

  async rmdir(path: string): Promise<void> {
    const { parent, name } = await this.#place(path);
    await this.#vfs.rmdir(parent, name);
  }

  async unlink(path: string): Promise<void> {
    const { parent, name } = await this.#place(path);
    await this.#vfs.unlink(parent, name);
  }

  async rename(from: string, to: string): Promise<void> {
    const [source, target] = [await this.#place(from), await this.#place(to)];
    await this.#vfs.rename(source.parent, source.name, target.parent, target.name);
  }

  async link(existing: string, path: string): Promise<void> {
    const ino = await this.#resolve(existing, { follow: false });
    const { parent, name } = await this.#place(path);
    await this.#vfs.link(ino, parent, name);
  }

  async symlink(target: string, path: string): Promise<void> {
    const { parent, name } = await this.#place(path);
    await this.#vfs.symlink(parent, name, target);
  }

  async readlink(path: string): Promise<string> {
    return await this.#vfs.readlink(await this.#resolve(path, { follow: false }));
  }

  async truncate(path: string, size: number): Promise<void> {
    await this.#vfs.setattr(await this.#resolve(path), { size });
  }

  async chmod(path: string, mode: number): Promise<void> {
    await this.#vfs.setattr(await this.#resolve(path), { mode });
  }

  async chown(path: string, uid: number, gid: number): Promise<void> {
    await this.#vfs.setattr(await this.#resolve(path), { uid, gid });
  }

  async utimes(path: string, atime: number, mtime: number): Promise<void> {
    await this.#vfs.setattr(await this.#resolve(path), { atime: timeOf(atime), mtime: timeOf(mtime) });
  }

  /** @throws ENOENT, ENOTDIR, ELOOP as an Error, since the vfs itself follows nothing */
  async #resolve(path: string, { follow = true }: { readonly follow?: boolean } = {}): Promise<number> {
    const trail = [ROOT_INO];
    const names = path.split('/').filter((name) => name !== '' && name !== '.');
    let links = 0;
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      if (name === '..') {
        if (trail.length > 1) trail.pop();
        continue;
      }
      const { ino, type } = await this.#vfs.lookup(trail.at(-1) ?? ROOT_INO, name);
      if (type === 'symlink' && (names.length > 0 || follow)) {
        if (++links > MAX_LINKS) throw new Error('too many symlinks');
        names.unshift(...(await this.#vfs.readlink(ino)).split('/'));
        continue;
      }
      trail.push(ino);
    }
    return trail.at(-1) ?? ROOT_INO;
  }

  /** @throws ENOENT, and ENOTDIR if the parent is no folder */
  async #place(path: string): Promise<Place> {
    const slash = path.lastIndexOf('/');
    const parent = await this.#resolve(path.slice(0, Math.max(0, slash)));
    // The kernel checks that before it asks for a name in it.
    if ((await this.#vfs.getattr(parent)).type !== 'directory') throw new PosixError('ENOTDIR');
    return { parent, name: path.slice(slash + 1) };
  }
}

class VfsFile implements OpenedFile {
  readonly #vfs: Operations;
  readonly #ino: number;
  readonly #handle: number;
  readonly #flags: number;

  constructor(vfs: Operations, ino: number, handle: number, flags: number) {
    this.#vfs = vfs;
    this.#ino = ino;
    this.#handle = handle;
    this.#flags = flags;
  }

  async read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesRead: number; buffer: Buffer }> {
    let done = 0;
    while (done < length) {
      const part = buffer.subarray(offset + done, offset + Math.min(length, done + REQUEST_BYTES));
      const bytes = await this.#vfs.read(this.#handle, part, position + done);
      done += bytes;
      if (bytes < part.length) break;
    }
    return { bytesRead: done, buffer };
  }

  async write(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesWritten: number }> {
    const { size } = await this.#vfs.getattr(this.#ino);
    const from = (this.#flags & O_APPEND) === 0 ? position : size;
    let done = 0;
    while (done < length) {
      const part = buffer.subarray(offset + done, offset + Math.min(length, done + REQUEST_BYTES));
      done += await this.#vfs.write(this.#handle, part, from + done);
    }
    return { bytesWritten: done };
  }

  async stat(): Promise<Stat> {
    return statOf(await this.#vfs.getattr(this.#ino));
  }

  async truncate(size: number): Promise<void> {
    if ((this.#flags & O_ACCMODE) === O_RDONLY) throw new PosixError('EINVAL');
    await this.#vfs.setattr(this.#ino, { size });
  }

  async chmod(mode: number): Promise<void> {
    await this.#vfs.setattr(this.#ino, { mode });
  }

  async utimes(atime: number, mtime: number): Promise<void> {
    await this.#vfs.setattr(this.#ino, { atime: timeOf(atime), mtime: timeOf(mtime) });
  }

  async sync(): Promise<void> {
    await this.#vfs.fsync(this.#handle, false);
  }

  async datasync(): Promise<void> {
    await this.#vfs.fsync(this.#handle, true);
  }

  async close(): Promise<void> {
    await this.#vfs.flush(this.#handle);
    await this.#vfs.release(this.#handle);
  }
}
