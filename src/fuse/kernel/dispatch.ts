/**
 * Turns the kernel's requests into operations of the vfs, and their results into replies. It translates and decides nothing
 * but what a node is (`nodes.ts`).
 *
 * What the kernel may keep: names and attributes for `ATTRIBUTES_MS`; never that a name is missing, since names appear when
 * torrents are added; the pages of a file until it is opened again (`vfs/file-system.ts` says why). What changes other than
 * through the mount is reported (`notifying.ts`).
 *
 * Requests without an operation get ENOSYS, after which the kernel does without them: it copies ranges itself, for example.
 */
import { constants } from 'node:fs';
import { bytesOfName } from '../../bytes/name-text.ts';
import { PosixError } from '../../errors.ts';
import {
  ATTRIBUTES_MS,
  type Attributes,
  type Dentry,
  type MaybePromise,
  type Operations,
  type SeekTo,
} from '../../vfs/operations.ts';
import { OpenDirectory } from './directories.ts';
import { ExtendedAttributes } from './extended-attributes.ts';
import { GONE_DIRECTORY, GoneInodes } from './gone-inodes.ts';
import type { Nodes } from './nodes.ts';
import type { HowRead, Passthrough } from './passthrough.ts';
import { DirectoryReply } from './protocol/directory-reply.ts';
import type { Agreed } from './protocol/negotiation.ts';
import {
  attributesReply,
  bytesReply,
  createReply,
  type Entry,
  emptyReply,
  entryReply,
  finishRead,
  lseekReply,
  openReply,
  roomForRead,
  statfsReply,
  writeReply,
} from './protocol/replies.ts';
import type {
  CreateRequest,
  LseekRequest,
  MkdirRequest,
  MknodRequest,
  OpenRequest,
  ReaddirRequest,
  ReadRequest,
  Request,
  RequestHeader,
  SymlinkRequest,
} from './protocol/request.ts';
import { InitFlag, OpenReplyFlag } from './protocol/structures.ts';

export interface Answer {
  readonly reply: Buffer;
  /** Takes back what the reply gave the kernel (a node, a handle): called if the kernel did not take it. */
  readonly undo?: () => void;
}

const { O_EXCL, O_TRUNC } = constants;
/** By the number of lseek(2). */
const SEEK_TO: Readonly<Record<number, SeekTo>> = { 3: 'data', 4: 'hole' };
/** Both ids, as the kernel numbers callers. */
const callerOf = ({ uid, gid }: RequestHeader): { readonly uid: number; readonly gid: number } => ({ uid, gid });

/** Continues with a result, in the same turn where there is one. */
function then<T, U>(result: MaybePromise<T>, use: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return result instanceof Promise ? result.then(use) : use(result);
}

/** Leaves an error unreported: nobody waits for what is taken back. */
function ignored(work: MaybePromise<void>): void {
  if (work instanceof Promise) work.catch(() => {});
}

export class Dispatcher {
  readonly #operations: Operations;
  readonly #nodes: Nodes;
  readonly #generation: number;
  readonly #directories = new Map<number, OpenDirectory>();
  readonly #gone: GoneInodes;
  readonly #extended: ExtendedAttributes;
  readonly #passthrough: Passthrough | undefined;
  #readsDirectly = false;

  /** `passthrough`: absent where the kernel reads no files itself. */
  constructor(operations: Operations, nodes: Nodes, generation: number, passthrough?: Passthrough) {
    this.#passthrough = passthrough;
    this.#operations = operations;
    this.#nodes = nodes;
    this.#generation = generation;
    this.#gone = new GoneInodes(operations, nodes);
    this.#extended = new ExtendedAttributes(operations);
  }

  /** Called at INIT, with what was agreed on, before any other request. */
  begin({ flags }: Agreed): void {
    this.#extended.begin(flags);
    this.#readsDirectly = (flags & InitFlag.DIRECT_IO_ALLOW_MMAP) !== 0n;
  }

  /**
   * Whether a request may be abandoned while it waits: it changes nothing, and `undo` takes back what it gives.
   */
  static mayBeAbandoned(request: Request): boolean {
    const { kind } = request;
    return kind === 'read' || (kind === 'open' && (request.flags & O_TRUNC) === 0);
  }

  /** Gives the answer; undefined for a request that has none. @throws PosixError, and what the vfs throws by mistake */
  dispatch(request: Request): MaybePromise<Answer | undefined> {
    const { unique } = request;
    const done = (): Answer => ({ reply: emptyReply(unique) });
    const operations = this.#operations;
    const ino = this.#nodes.inodeOf(request.node);
    switch (request.kind) {
      case 'lookup':
        return then(this.#lookup(ino, request.name), (found) => this.#entry(unique, found));
      case 'forget':
        this.#forget(request.node, request.lookups);
        return undefined;
      case 'batchForget':
        for (const { node, lookups } of request.forgotten) this.#forget(node, lookups);
        return undefined;
      case 'getattr':
        return then(this.#gone.getattr(ino), (found) => this.#attributes(unique, found));
      case 'setattr':
        if (request.changes.size !== undefined) this.#passthrough?.changing(request.node);
        return this.#clearing(
          ino,
          request,
          () => operations.setattr(ino, request.changes),
          (found) => this.#attributes(unique, found),
        );
      case 'readlink':
        return then(operations.readlink(ino), (target) => ({ reply: bytesReply(unique, bytesOfName(target)) }));
      case 'symlink':
      case 'mknod':
      case 'mkdir':
        return then(this.#make(ino, request), (made) => this.#entry(unique, made));
      case 'link': {
        const old = this.#nodes.inodeOf(request.oldNode);
        return then(operations.link(old, ino, request.name), (linked) => this.#entry(unique, linked));
      }
      case 'unlink':
        return then(
          this.#gone.watch(ino, request.name, () => operations.unlink(ino, request.name)),
          done,
        );
      case 'rmdir':
        return then(
          this.#gone.watch(ino, request.name, () => operations.rmdir(ino, request.name)),
          done,
        );
      case 'rename': {
        const { name, newName, flags } = request;
        const to = this.#nodes.inodeOf(request.newParent);
        return then(
          this.#gone.watch(to, newName, () => operations.rename(ino, name, to, newName, flags)),
          done,
        );
      }
      case 'open':
        return this.#open(ino, request);
      case 'create':
        return this.#create(ino, request);
      case 'read':
        return this.#read(request);
      case 'write':
        return this.#clearing(
          ino,
          request,
          () => operations.write(request.handle, request.data, request.offset),
          (written) => ({ reply: writeReply(unique, written) }),
        );
      case 'flush':
        return then(operations.flush(request.handle), done);
      case 'fsync':
        return then(operations.fsync(request.handle, request.dataOnly), done);
      case 'release':
        this.#passthrough?.released(request.handle);
        return then(operations.release(request.handle), done);
      case 'fallocate': {
        const { handle, mode, offset, length } = request;
        return then(operations.fallocate(handle, mode, offset, length), done);
      }
      case 'opendir':
        return this.#opendir(ino, request);
      case 'readdir':
      case 'readdirplus':
        return this.#readdir(request);
      case 'releasedir':
        if (request.handle === GONE_DIRECTORY) return done();
        this.#directories.delete(request.handle);
        return then(operations.releasedir(request.handle), done);
      case 'fsyncdir':
        return request.handle === GONE_DIRECTORY ? done() : then(operations.fsyncdir(ino), done);
      case 'statfs':
        return then(operations.statfs(), async (stats) => ({
          reply: statfsReply(unique, stats, await operations.longestName?.(ino)),
        }));
      case 'lseek':
        return this.#seek(request);
      case 'getxattr':
        return then(this.#extended.get(ino, request), (reply) => ({ reply }));
      case 'listxattr':
        return { reply: this.#extended.list(request) };
      case 'destroy':
        return done();
      default:
        throw new PosixError('ENOSYS');
    }
  }

  /** Clears the set-id bits first where the kernel says that they must go: a crash leaves no changed file that has them. */
  #clearing<T>(
    ino: number,
    { killSetIds }: { readonly killSetIds: boolean },
    work: () => MaybePromise<T>,
    answer: (result: T) => Answer,
  ): MaybePromise<Answer> {
    const cleared = killSetIds ? this.#operations.killSetIds?.(ino) : undefined;
    return cleared instanceof Promise ? cleared.then(work).then(answer) : then(work(), answer);
  }

  #lookup(parent: number, name: string): MaybePromise<Attributes> {
    // A program gave a file handle: the kernel asks for what it names, and for the way up to the root.
    if (name === '.') return this.#gone.getattr(parent);
    if (name === '..') return this.#above(parent);
    return this.#operations.lookup(parent, name);
  }

  async #above(directory: number): Promise<Attributes> {
    const parent = await this.#parentOf(directory);
    if (parent === undefined) throw new PosixError('ESTALE');
    return await this.#operations.getattr(parent);
  }

  /** Undefined where the vfs cannot tell. */
  async #parentOf(directory: number): Promise<number | undefined> {
    try {
      return await this.#operations.parentOf?.(directory);
    } catch (error) {
      if (error instanceof PosixError) return undefined;
      throw error;
    }
  }

  #seek({ unique, handle, offset, whence }: LseekRequest): MaybePromise<Answer> {
    const to = SEEK_TO[whence];
    const found = to === undefined ? undefined : this.#operations.seek?.(handle, offset, to);
    if (found === undefined) throw new PosixError('ENOSYS');
    return then(found, (at) => ({ reply: lseekReply(unique, at) }));
  }

  #make(parent: number, request: SymlinkRequest | MknodRequest | MkdirRequest): MaybePromise<Attributes> {
    const caller = callerOf(request);
    switch (request.kind) {
      case 'symlink':
        return this.#operations.symlink(parent, request.name, request.target, caller);
      case 'mkdir':
        return this.#operations.mkdir(parent, request.name, request.mode, caller);
      default: {
        const { name, type, mode, rdev } = request;
        return this.#operations.mknod(parent, name, type, mode, rdev, caller);
      }
    }
  }

  /** Gives the kernel a node. */
  #given(attributes: Attributes): Entry {
    return { ...this.#shown(attributes), node: this.#nodes.count(attributes.ino) };
  }

  #shown(attributes: Attributes): Entry {
    const node = this.#nodes.nodeOf(attributes.ino);
    const generation = this.#generation;
    return { node, generation, attributes, entryMs: ATTRIBUTES_MS, attributesMs: ATTRIBUTES_MS };
  }

  #entry(unique: bigint, attributes: Attributes): Answer {
    const entry = this.#given(attributes);
    return { reply: entryReply(unique, entry), undo: () => this.#forget(entry.node, 1) };
  }

  #attributes(unique: bigint, attributes: Attributes): Answer {
    return { reply: attributesReply(unique, attributes, ATTRIBUTES_MS) };
  }

  #open(ino: number, request: OpenRequest): MaybePromise<Answer> {
    const { unique, node, flags } = request;
    const passthrough = this.#passthrough;
    const open = (): MaybePromise<number> => this.#operations.open(ino, flags);
    const answer = (handle: number, how: HowRead): Answer => ({
      reply: openReply(unique, { handle, ...this.#uncached(handle, how) }),
      undo: () => this.#close(handle),
    });
    if (passthrough === undefined) {
      return this.#clearing(ino, request, open, (handle) => answer(handle, { flags: 0 }));
    }
    const opening = async (): Promise<Answer> => {
      passthrough.opening(node, flags);
      return await this.#openPassed(passthrough, { node, flags }, open, answer);
    };
    return this.#clearing(ino, request, opening, (opened) => opened);
  }

  /**
   * Keeps the kernel from caching what the pages of users' files hold already (DIRECT_IO). A map of such a file is cached,
   * which the kernel allows together with it from Linux 6.6 on.
   */
  #uncached(handle: number, how: HowRead): HowRead {
    const isDirect = this.#readsDirectly && how.flags === 0 && this.#operations.isCachedBelow?.(handle) === true;
    return isDirect ? { flags: OpenReplyFlag.DIRECT_IO } : how;
  }

  async #openPassed(
    passthrough: Passthrough,
    { node, flags }: Pick<OpenRequest, 'node' | 'flags'>,
    open: () => MaybePromise<number>,
    answer: (handle: number, how: HowRead) => Answer,
  ): Promise<Answer> {
    let handle: number;
    try {
      handle = await open();
    } catch (error) {
      passthrough.failed(node, flags);
      throw error;
    }
    try {
      return answer(handle, await passthrough.opened(node, handle, flags));
    } catch (error) {
      this.#close(handle);
      throw error;
    }
  }

  /** Closes a handle that the kernel did not take. */
  #close(handle: number): void {
    this.#passthrough?.released(handle);
    ignored(this.#operations.release(handle));
  }

  #forget(node: number, lookups: number): void {
    const ino = this.#nodes.forget(node, lookups);
    if (ino !== undefined) this.#gone.forget(ino);
  }

  async #create(parent: number, request: CreateRequest): Promise<Answer> {
    const { name, mode, flags } = request;
    let made: Awaited<ReturnType<Operations['create']>>;
    try {
      made = await this.#operations.create(parent, name, mode, flags, callerOf(request));
    } catch (error) {
      // The name came from the side after the kernel had looked for it. The kernel looks again, and checks who may open it.
      if (error instanceof PosixError && error.code === 'EEXIST' && (flags & O_EXCL) === 0)
        throw new PosixError('ESTALE');
      throw error;
    }
    const { attributes, handle } = made;
    const entry = this.#given(attributes);
    this.#passthrough?.made(entry.node, handle);
    return {
      reply: createReply(request.unique, entry, { handle, flags: 0 }),
      undo: () => {
        this.#forget(entry.node, 1);
        this.#close(handle);
      },
    };
  }

  #read({ unique, handle, size, offset }: ReadRequest): MaybePromise<Answer> {
    const { message, readInto } = roomForRead(size);
    return then(this.#operations.read(handle, readInto, offset), (bytes) => ({
      reply: finishRead(message, unique, bytes),
    }));
  }

  async #opendir(ino: number, { unique }: OpenRequest): Promise<Answer> {
    if (this.#gone.isDirectory(ino)) return { reply: openReply(unique, { handle: GONE_DIRECTORY, flags: 0 }) };
    const handle = await this.#operations.opendir(ino);
    const parent = (await this.#parentOf(ino)) ?? ino;
    this.#directories.set(handle, new OpenDirectory(this.#operations, handle, { ino, parent }));
    return {
      reply: openReply(unique, { handle, flags: 0 }),
      undo: () => {
        this.#directories.delete(handle);
        ignored(this.#operations.releasedir(handle));
      },
    };
  }

  async #readdir({ unique, kind, handle, offset, size }: ReaddirRequest): Promise<Answer> {
    const directory = this.#directories.get(handle);
    if (directory === undefined) throw new PosixError('EBADF');
    const reply = new DirectoryReply(size);
    const given: number[] = [];
    const add =
      kind === 'readdir'
        ? (dentry: Dentry): boolean => reply.add(dentry)
        : async (dentry: Dentry): Promise<boolean> => {
            const entry = await this.#listed(dentry);
            if (!reply.addWithEntry(dentry, entry)) return false;
            if (entry !== undefined) given.push(this.#nodes.count(dentry.ino));
            return true;
          };
    await directory.list(offset, add);
    return {
      reply: reply.finish(unique),
      undo: () => {
        for (const node of given) this.#forget(node, 1);
      },
    };
  }

  /** What a listed name leads to. None for `.` and `..`, of which the kernel counts no lookup, and for what has gone. */
  async #listed({ name, ino }: Dentry): Promise<Entry | undefined> {
    if (name === '.' || name === '..') return undefined;
    try {
      return this.#shown(await this.#operations.getattr(ino));
    } catch {
      return undefined;
    }
  }
}
