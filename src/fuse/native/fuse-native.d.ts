/** The used part of fuse-native 2.2.6. Results are 0 or a negative errno; handles and inode numbers are 32 bits. */
declare module 'fuse-native' {
  export interface FuseStat {
    mode: number;
    uid?: number;
    gid?: number;
    size?: number;
    nlink?: number;
    ino: number;
    rdev?: number;
    blocks?: number;
    blksize?: number;
    /** Milliseconds. */
    atime?: number;
    mtime?: number;
    ctime?: number;
  }
  export interface FuseStatfs {
    bsize: number;
    frsize: number;
    blocks: number;
    bfree: number;
    bavail: number;
    files: number;
    ffree: number;
    favail: number;
    namemax: number;
  }
  type Reply = (result: number) => void;
  export interface FuseHandlers {
    getattr(path: string, reply: (result: number, stat?: FuseStat) => void): void;
    readdir(path: string, reply: (result: number, names?: string[], stats?: FuseStat[]) => void): void;
    readlink(path: string, reply: (result: number, target?: string) => void): void;
    open(path: string, flags: number, reply: (result: number, handle?: number) => void): void;
    read(path: string, handle: number, buffer: Buffer, length: number, position: number, reply: Reply): void;
    release(path: string, handle: number, reply: Reply): void;
    flush(path: string, handle: number, reply: Reply): void;
    fsync(path: string, dataOnly: number, handle: number, reply: Reply): void;
    fsyncdir(path: string, dataOnly: number, handle: number, reply: Reply): void;
    statfs(path: string, reply: (result: number, stats?: FuseStatfs) => void): void;
    create(path: string, mode: number, reply: (result: number, handle?: number) => void): void;
    write(path: string, handle: number, buffer: Buffer, length: number, position: number, reply: Reply): void;
    truncate(path: string, size: number, reply: Reply): void;
    ftruncate(path: string, handle: number, size: number, reply: Reply): void;
    chmod(path: string, mode: number, reply: Reply): void;
    chown(path: string, uid: number, gid: number, reply: Reply): void;
    utimens(path: string, atime: number, mtime: number, reply: Reply): void;
    mknod(path: string, mode: number, dev: number, reply: Reply): void;
    unlink(path: string, reply: Reply): void;
    rename(path: string, to: string, reply: Reply): void;
    link(path: string, to: string, reply: Reply): void;
    symlink(target: string, path: string, reply: Reply): void;
    mkdir(path: string, mode: number, reply: Reply): void;
    rmdir(path: string, reply: Reply): void;
    flush(path: string, handle: number, reply: Reply): void;
    fsync(path: string, dataOnly: number, handle: number, reply: Reply): void;
    fsyncdir(path: string, dataOnly: number, handle: number, reply: Reply): void;
  }
  export interface FuseOptions {
    timeout: false;
    fsname: string;
    subtype: string;
    allowOther?: boolean;
    defaultPermissions?: boolean;
    entryTimeout?: string;
    attrTimeout?: string;
  }
  class Fuse {
    /** The native handlers, by operation number; the first argument is the memory of the calling thread. */
    _handlers: ((thread: Buffer, operation: number, ...args: unknown[]) => void)[];
    constructor(mountPoint: string, handlers: Partial<FuseHandlers>, options: FuseOptions);
    mount(done: (error: Error | null) => void): void;
    unmount(done: (error: Error | null) => void): void;
    static unmount(mountPoint: string, done: (error: Error | null) => void): void;
  }
  export default Fuse;
}
