/** The requests of the kernel as values (`requests.ts` reads them). Names and symlink targets are text by `bytes/name-text.ts`. */
import type { Timestamp } from '../../../native/timestamp.ts';
import type { AttributeChanges, FileType } from '../../../vfs/operations.ts';

export interface RequestHeader {
  /** Names the request in its reply, and in an `interrupt`. */
  readonly unique: bigint;
  /** The node that the request is about; 0 where it is about none. */
  readonly node: number;
  /** The caller's ids. 0 where the kernel asks for itself. */
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

/** A name in the directory `node`. */
interface Named<Kind extends string> extends RequestHeader {
  readonly kind: Kind;
  readonly name: string;
}
interface Bare<Kind extends string> extends RequestHeader {
  readonly kind: Kind;
}
interface OfHandle<Kind extends string> extends RequestHeader {
  readonly kind: Kind;
  readonly handle: number;
}

/** How often the kernel forgets a node that replies have named. */
export interface Forgotten {
  readonly node: number;
  readonly lookups: number;
}

export interface ForgetRequest extends RequestHeader {
  readonly kind: 'forget';
  readonly lookups: number;
}
export interface BatchForgetRequest extends RequestHeader {
  readonly kind: 'batchForget';
  readonly forgotten: readonly Forgotten[];
}
export interface GetattrRequest extends RequestHeader {
  readonly kind: 'getattr';
  readonly handle: number | undefined;
}
export interface SetattrRequest extends RequestHeader {
  readonly kind: 'setattr';
  readonly handle: number | undefined;
  readonly changes: AttributeChanges;
  /** Sent where the kernel caches writes, which we never ask for. */
  readonly ctime: Timestamp | undefined;
  /** The set-id bits go, as a write by a caller without CAP_FSETID has it (HANDLE_KILLPRIV_V2). */
  readonly killSetIds: boolean;
}
export interface SymlinkRequest extends Named<'symlink'> {
  readonly target: string;
}
export interface MknodRequest extends Named<'mknod'> {
  readonly type: FileType;
  /** Permission bits, from which the kernel has taken the umask. */
  readonly mode: number;
  readonly rdev: number;
  readonly umask: number;
}
export interface MkdirRequest extends Named<'mkdir'> {
  /** Permission bits, from which the kernel has taken the umask. */
  readonly mode: number;
  readonly umask: number;
}
export interface RenameRequest extends Named<'rename'> {
  readonly newParent: number;
  readonly newName: string;
  /** Of renameat2(2). */
  readonly flags: number;
}
/** `node` and `name` are the new name's. */
export interface LinkRequest extends Named<'link'> {
  readonly oldNode: number;
}
export interface OpenRequest extends RequestHeader {
  readonly kind: 'open' | 'opendir';
  /** Of open(2), without O_CREAT, O_EXCL and O_NOCTTY. */
  readonly flags: number;
  readonly killSetIds: boolean;
}
export interface CreateRequest extends Named<'create'> {
  readonly flags: number;
  /** Permission bits, from which the kernel has taken the umask. */
  readonly mode: number;
  readonly umask: number;
  readonly killSetIds: boolean;
}
export interface ReadRequest extends OfHandle<'read'> {
  /** At most the largest safe integer: no file reaches it. */
  readonly offset: number;
  readonly size: number;
  /** Of open(2), as they are now. */
  readonly flags: number;
}
export interface WriteRequest extends OfHandle<'write'> {
  readonly offset: number;
  /** A view of the message. */
  readonly data: Buffer;
  readonly flags: number;
  /** Written from the page cache: the handle is any that may write, and so is the caller. */
  readonly fromCache: boolean;
  readonly killSetIds: boolean;
}
export interface ReleaseRequest extends RequestHeader {
  readonly kind: 'release' | 'releasedir';
  readonly handle: number;
  readonly flags: number;
  /** FLUSH was not sent, and is due. */
  readonly flush: boolean;
}
export interface FsyncRequest extends RequestHeader {
  readonly kind: 'fsync' | 'fsyncdir';
  readonly handle: number;
  readonly dataOnly: boolean;
}
export interface GetxattrRequest extends Named<'getxattr'> {
  /** Bytes that the value may have; 0 asks for its size. */
  readonly size: number;
}
export interface SetxattrRequest extends Named<'setxattr'> {
  /** A view of the message. */
  readonly value: Buffer;
  readonly flags: number;
}
export interface ListxattrRequest extends RequestHeader {
  readonly kind: 'listxattr';
  /** Bytes that the list may have; 0 asks for its size. */
  readonly size: number;
}
export interface InitRequest extends RequestHeader {
  readonly kind: 'init';
  readonly major: number;
  readonly minor: number;
  /** In bytes. */
  readonly maxReadahead: number;
  /** What the kernel offers (`InitFlag`). */
  readonly offered: bigint;
}
export interface ReaddirRequest extends RequestHeader {
  readonly kind: 'readdir' | 'readdirplus';
  readonly handle: number;
  readonly offset: number;
  /** Bytes that the reply may have behind its header. */
  readonly size: number;
}
export interface InterruptRequest extends RequestHeader {
  readonly kind: 'interrupt';
  /** The `unique` of the request that is to end. */
  readonly target: bigint;
}
export interface FallocateRequest extends OfHandle<'fallocate'> {
  readonly offset: number;
  readonly length: number;
  /** Of fallocate(2). */
  readonly mode: number;
}
export interface LseekRequest extends OfHandle<'lseek'> {
  /** May be negative. */
  readonly offset: number;
  /** Of lseek(2): SEEK_DATA (3) or SEEK_HOLE (4); the kernel does the others itself. */
  readonly whence: number;
}
/** From `handle` of `node` to `toHandle` of `toNode`. */
export interface CopyFileRangeRequest extends OfHandle<'copyFileRange'> {
  readonly offset: number;
  readonly toNode: number;
  readonly toHandle: number;
  readonly toOffset: number;
  readonly length: number;
  /** The reply has 64 bits for the copied bytes (7.45), else 32. */
  readonly wide: boolean;
}
export interface StatxRequest extends RequestHeader {
  readonly kind: 'statx';
  readonly handle: number | undefined;
  readonly flags: number;
  readonly mask: number;
}
/** A request that we do not know: ENOSYS, after which the kernel sends most of these no more. */
export interface UnknownRequest extends RequestHeader {
  readonly kind: 'unknown';
  readonly opcode: number;
}

export type Request =
  | Named<'lookup' | 'unlink' | 'rmdir' | 'removexattr'>
  | Bare<'readlink' | 'statfs' | 'destroy' | 'syncfs'>
  | OfHandle<'flush'>
  | ForgetRequest
  | BatchForgetRequest
  | GetattrRequest
  | SetattrRequest
  | SymlinkRequest
  | MknodRequest
  | MkdirRequest
  | RenameRequest
  | LinkRequest
  | OpenRequest
  | CreateRequest
  | ReadRequest
  | WriteRequest
  | ReleaseRequest
  | FsyncRequest
  | GetxattrRequest
  | SetxattrRequest
  | ListxattrRequest
  | InitRequest
  | ReaddirRequest
  | InterruptRequest
  | FallocateRequest
  | LseekRequest
  | CopyFileRangeRequest
  | StatxRequest
  | UnknownRequest;
