/**
 * Handles of files: name_to_handle_at(2) and open_by_handle_at(2), since Linux 2.6.39.
 *
 * A handle names a file within its file system, whatever its path; it ends with the file. Asking for one needs no privilege,
 * opening by one needs CAP_DAC_READ_SEARCH. While the kernel has the file's name in memory it tells the path. After a restart
 * it does not know a plain file's: then the handle of the folder, of which it always finds the path, leads to it.
 *
 * A path found here is a proposal: whoever uses it opens it as every source is opened.
 */
import { closeSync, constants, promises as fs, readlinkSync } from 'node:fs';
import type { CLibrary, LoadedLibrary } from './c-library.ts';
import { inThread, terminated } from './in-thread.ts';
import { O_PATH } from './strict-paths.ts';

/** name_to_handle_at(2). */
const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;
/** struct file_handle { unsigned handle_bytes; int handle_type; unsigned char f_handle[] }. */
const MAX_HANDLE_SZ = 128;
const HEADER_BYTES = 8;
const O_CLOEXEC = 0o2000000;
/** Types of handles of files: of ext4, and of XFS with few inodes; of XFS; of btrfs. */
const FILEID_INO32_GEN = 1;
const FILEID_XFS_64 = 0x81;
const FILEID_BTRFS = 0x4d;
const SLASH = Buffer.from('/');
/** Entries of a folder that are looked at for a file. */
const MOST_ENTRIES = 100_000;

/** Machines with little-endian numbers and the flags above. */
const MACHINES: ReadonlySet<string> = new Set(['x64', 'arm64', 'riscv64', 'loong64']);

export interface KernelHandle {
  readonly type: number;
  readonly bytes: Buffer;
}

/** The handle of a file, and that of the folder in which it lay. */
export interface PlacedHandle extends KernelHandle {
  readonly folder?: KernelHandle;
}

export interface HandleCalls {
  /** Gives the handle of an open file, and of its folder. Undefined where the file system has none. */
  readonly handleOf: (fd: number) => PlacedHandle | undefined;
  /** Gives the handle of what is at a path: a link is not followed at the end. */
  readonly handleAt: (path: Buffer) => KernelHandle | undefined;
  /** Gives the handle of a folder, wherever a link leads. */
  readonly handleOfFolder: (path: Buffer) => KernelHandle | undefined;
  /** Gives both handles, in threads of libuv. */
  readonly placedHandleAt: (path: Buffer) => Promise<PlacedHandle | undefined>;
  /**
   * Finds the path of a handle's file. `anywhere`: a folder on the same file system. Undefined if the file is gone, its path
   * is not known, or this process may not ask.
   */
  readonly pathOfHandle: (handle: PlacedHandle, anywhere: Buffer) => Promise<Buffer | undefined>;
}

export function loadHandleCalls(library: CLibrary): HandleCalls | undefined {
  if (!MACHINES.has(process.arch)) return undefined;
  return library.ability('moved files are found more slowly', declareHandles);
}

/** @throws if the C library has no such calls */
function declareHandles({ func }: LoadedLibrary): HandleCalls {
  const nameToHandle = func(
    'int name_to_handle_at(int folder, const void *path, void *handle, void *mount, int flags)',
  );
  const openByHandle = func('int open_by_handle_at(int mount, void *handle, int flags)');
  const mount = Buffer.alloc(4);
  const result = Buffer.alloc(HEADER_BYTES + MAX_HANDLE_SZ);

  const ofPath = (path: Buffer, flags: number): KernelHandle | undefined => {
    result.writeUInt32LE(MAX_HANDLE_SZ, 0);
    return nameToHandle(AT_FDCWD, terminated(path), result, mount, flags) === 0 ? handleIn(result) : undefined;
  };
  const ofPathLater = async (path: Buffer, flags: number): Promise<KernelHandle | undefined> => {
    const own = Buffer.alloc(HEADER_BYTES + MAX_HANDLE_SZ);
    own.writeUInt32LE(MAX_HANDLE_SZ, 0);
    const failed = await inThread(nameToHandle, AT_FDCWD, terminated(path), own, Buffer.alloc(4), flags);
    return failed === 0 ? handleIn(own) : undefined;
  };
  /** Opens what a handle names, and reads its path. */
  const named = async (mounted: number, { type, bytes }: KernelHandle): Promise<Buffer | undefined> => {
    const handle = Buffer.alloc(HEADER_BYTES + bytes.length);
    handle.writeUInt32LE(bytes.length, 0);
    handle.writeInt32LE(type, 4);
    bytes.copy(handle, HEADER_BYTES);
    const fd = await inThread(openByHandle, mounted, handle, O_PATH | O_CLOEXEC);
    if (fd < 0) return undefined;
    try {
      return await fs.readlink(`/proc/self/fd/${fd}`, { encoding: 'buffer' });
    } finally {
      closeSync(fd);
    }
  };
  return {
    handleAt: (path) => ofPath(path, 0),
    handleOfFolder: (path) => ofPath(path, AT_SYMLINK_FOLLOW),
    async placedHandleAt(path) {
      const handle = await ofPathLater(path, 0);
      const folder = handle === undefined ? undefined : await ofPathLater(folderOf(path), AT_SYMLINK_FOLLOW);
      return handle === undefined || folder === undefined ? handle : { ...handle, folder };
    },
    handleOf(fd) {
      const itself = `/proc/self/fd/${fd}`;
      const handle = ofPath(Buffer.from(itself), AT_SYMLINK_FOLLOW);
      if (handle === undefined) return undefined;
      const folder = ofPath(folderOf(readlinkSync(itself, { encoding: 'buffer' })), AT_SYMLINK_FOLLOW);
      return folder === undefined ? handle : { ...handle, folder };
    },
    async pathOfHandle(handle, anywhere) {
      const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NONBLOCK;
      const mounted = await fs.open(anywhere, flags).catch(() => undefined);
      if (mounted === undefined) return undefined;
      try {
        const path = await named(mounted.fd, handle);
        if (path === undefined || (await isAt(path, handle))) return path;
        const folder = handle.folder === undefined ? undefined : await named(mounted.fd, handle.folder);
        return folder === undefined ? undefined : await entryOf(folder, handle);
      } finally {
        await mounted.close();
      }
    },
  };
}

/** A copy of what the kernel has written. */
function handleIn(result: Buffer): KernelHandle {
  const end = HEADER_BYTES + result.readUInt32LE(0);
  return { type: result.readInt32LE(4), bytes: Buffer.from(result.subarray(HEADER_BYTES, end)) };
}

function folderOf(path: Buffer): Buffer {
  return path.subarray(0, Math.max(1, path.lastIndexOf('/')));
}

/** The inode number in a handle: what `linux/exportfs.h` and the file systems put first. */
function inodeIn({ type, bytes }: KernelHandle): bigint | undefined {
  if (type === FILEID_INO32_GEN && bytes.length >= 4) return BigInt(bytes.readUInt32LE(0));
  if ((type === FILEID_XFS_64 || type === FILEID_BTRFS) && bytes.length >= 8) return bytes.readBigUInt64LE(0);
  return undefined;
}

async function isAt(path: Buffer, handle: KernelHandle): Promise<boolean> {
  const inode = inodeIn(handle);
  // The path of a file whose name the kernel does not know is `/`.
  const found = inode === undefined ? undefined : await fs.lstat(path, { bigint: true }).catch(() => undefined);
  return found !== undefined && found.ino === inode;
}

/** Finds a file in a folder by its inode number. */
async function entryOf(folder: Buffer, handle: KernelHandle): Promise<Buffer | undefined> {
  const names = await fs.readdir(folder, { encoding: 'buffer' }).catch(() => []);
  for (const name of names.slice(0, MOST_ENTRIES)) {
    const path = Buffer.concat([folder, SLASH, name]);
    if (await isAt(path, handle)) return path;
  }
  return undefined;
}
