/**
 * Has the kernel read open files from the files that have their bytes, without asking (FUSE_PASSTHROUGH, Linux 6.9).
 *
 * The kernel would write to such a file, too, and also where it is open here for reading alone. So **only ever an open that reads is
 * answered so**: whatever may write gets a node of its own, whose pages are cached, and whose writes are requests.
 *
 * A node is read in one way at a time, since the kernel refuses a second one with EIO:
 * - While a node is passed through, each further open of it must be, with the same backing id. An open that writes, or one that finds
 *   no backing or another one, is answered with ESTALE, and the inode gets another node (`Nodes.renew`). The kernel looks up again
 *   (LOOKUP_REVAL), and opens that. Who had the file open before reads on from its backing until he closes it.
 * - While a node is open in another way, so is each further open of it.
 *
 * ESTALE reaches the program only where the kernel has no name to look up: an open through `/proc/self/fd`, or of a file handle.
 *
 * A backing id lives as long as opens of its node. What the kernel refuses once is not tried again: without CAP_SYS_ADMIN
 * (EPERM) nothing is, and nothing on a file system that it refuses (ELOOP: it is stacked on another one, such as overlayfs).
 */
import { closeSync, constants, openSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { PosixError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { FuseDeviceCalls } from '../../native/fuse-device.ts';
import type { Backing, BackingAbility, MaybePromise } from '../../vfs/operations.ts';
import type { Nodes } from './nodes.ts';
import { OpenReplyFlag } from './protocol/structures.ts';

/** How an open file is read, as the reply to its open says. */
export interface HowRead {
  /** `OpenReplyFlag`. */
  readonly flags: number;
  readonly backing?: number;
}

const ASKED: HowRead = { flags: 0 };
const O_ACCMODE = constants.O_RDONLY | constants.O_WRONLY | constants.O_RDWR;
/** Milliseconds for which a new node is kept for the writer for whom it was made. */
const KEPT_MS = 1000;
/** Errors that say nothing about the file or this process's rights. */
const PASSING: ReadonlySet<string> = new Set(['ENOMEM', 'ENOSPC', 'ENFILE', 'EMFILE', 'EINTR']);

/** A node that is open. */
interface OpenNode {
  /** How many opens ask for each read, or are under way and may write. */
  others: number;
  /** Undefined while it is not passed through. */
  passed: { readonly id: number; readonly file: object; readonly handles: Set<number> } | undefined;
}

export interface PassthroughOptions {
  readonly backing: BackingAbility;
  readonly nodes: Nodes;
  /** Registers a file. Gives its id, or the errno as a negative number. */
  readonly openBacking: (file: number) => number;
  readonly closeBacking: (id: number) => number;
  readonly logger: Logger;
}

/** The same calls on the device of a mount. */
export function backingCallsOf(
  { openBacking, closeBacking }: Pick<FuseDeviceCalls, 'openBacking' | 'closeBacking'>,
  device: number,
): Pick<PassthroughOptions, 'openBacking' | 'closeBacking'> {
  return { openBacking: (file) => openBacking(device, file), closeBacking: (id) => closeBacking(device, id) };
}

/** Names the error that a backing id stands for which is none. */
const errorOf = (id: number): string => (id === 0 ? 'EIO' : getSystemErrorName(id));
const fileSystemOf = (dev: number): string => `file system ${Math.floor(dev / 256)}:${dev % 256}`;

/** Tells if an open may change a file. */
function mayWrite(flags: number): boolean {
  return (flags & (O_ACCMODE | constants.O_TRUNC)) !== constants.O_RDONLY;
}

export class Passthrough {
  readonly #options: PassthroughOptions;
  readonly #open = new Map<number, OpenNode>();
  readonly #nodeOf = new Map<number, number>();
  /** Nodes that are kept for writers, and until when; `performance.now()`. */
  readonly #kept = new Map<number, number>();
  /** File systems whose files the kernel has refused, and with which error. */
  readonly #refused = new Map<number, string>();
  /** Why no file is passed through. */
  #off: string | undefined;

  constructor(options: PassthroughOptions) {
    this.#options = options;
  }

  /** Called at INIT, before the first open. `maxStackDepth`: what was agreed on. */
  begin(maxStackDepth: number): void {
    if (maxStackDepth === 0) return this.#turnOff('it needs Linux 6.9');
    // The kernel looks at the rights of this process before it looks at the file.
    const program = openSync(process.execPath, 'r');
    try {
      const id = this.#options.openBacking(program);
      if (id > 0) this.#options.closeBacking(id);
      else if (errorOf(id) === 'EPERM') this.#turnOff('it needs CAP_SYS_ADMIN');
    } finally {
      closeSync(program);
    }
  }

  #turnOff(why: string): void {
    this.#off = why;
    this.#options.logger.info(`no passthrough, since ${why}: the server makes all reads`);
  }

  /** Says in words whether files are passed through. */
  describe(): string {
    if (this.#off !== undefined) return `no passthrough: ${this.#off}`;
    const refused = [...this.#refused].map(([dev, code]) => `${fileSystemOf(dev)} (${code})`);
    return refused.length === 0 ? 'passthrough' : `passthrough, but not on ${refused.join(', ')}`;
  }

  /** Prepares a change of a file by its node, without a handle. @throws ESTALE */
  changing(node: number): void {
    if (this.#open.get(node)?.passed !== undefined) this.#renew(node, true);
  }

  /** Prepares an open; `opened` or `failed` follows. @throws ESTALE */
  opening(node: number, flags: number): void {
    if (!mayWrite(flags)) return;
    this.changing(node);
    // Whoever reads from now on asks.
    this.#of(node).others++;
  }

  /** The open failed. */
  failed(node: number, flags: number): void {
    if (mayWrite(flags)) this.#otherEnds(node);
  }

  /** Says how an open file is read. After an error it is not open here. @throws ESTALE */
  opened(node: number, handle: number, flags: number): MaybePromise<HowRead> {
    if (mayWrite(flags)) {
      this.#nodeOf.set(handle, node);
      return ASKED;
    }
    // A disk takes reads past its cache at the bounds of its blocks alone; a server takes any.
    if ((flags & constants.O_DIRECT) !== 0) return this.#found(node, handle, undefined);
    const known = this.#open.get(node);
    if (this.#off !== undefined || (known !== undefined && known.others > 0)) return this.#asked(node, handle);
    const id = this.#options.backing.lend(handle, (backing) => this.#pass(node, handle, backing));
    return id instanceof Promise ? id.then((found) => this.#found(node, handle, found)) : this.#found(node, handle, id);
  }

  /** A file that was just made is open. */
  made(node: number, handle: number): void {
    this.#of(node).others++;
    this.#nodeOf.set(handle, node);
  }

  released(handle: number): void {
    const node = this.#nodeOf.get(handle);
    const open = node === undefined ? undefined : this.#open.get(node);
    if (node === undefined || open === undefined) return;
    this.#nodeOf.delete(handle);
    const { passed } = open;
    if (passed === undefined || !passed.handles.delete(handle)) {
      this.#otherEnds(node);
    } else if (passed.handles.size === 0) {
      open.passed = undefined;
      this.#options.closeBacking(passed.id);
      this.#endIfUnused(node, open);
    }
  }

  #found(node: number, handle: number, id: number | undefined): HowRead {
    if (id !== undefined) return { flags: OpenReplyFlag.PASSTHROUGH, backing: id };
    if (this.#open.get(node)?.passed !== undefined) this.#renew(node, false);
    return this.#asked(node, handle);
  }

  #asked(node: number, handle: number): HowRead {
    this.made(node, handle);
    return ASKED;
  }

  /** Passes a node through, if it can be. Gives the backing id. */
  #pass(node: number, handle: number, backing: Backing): number | undefined {
    if (this.#off !== undefined) return undefined;
    const open = this.#of(node);
    if (open.passed === undefined && open.others === 0 && !this.#isKept(node)) {
      const id = this.#register(backing);
      if (id !== undefined) open.passed = { id, file: backing.file, handles: new Set() };
    }
    const { passed } = open;
    if (passed === undefined || passed.file !== backing.file) {
      this.#endIfUnused(node, open);
      return undefined;
    }
    passed.handles.add(handle);
    this.#nodeOf.set(handle, node);
    return passed.id;
  }

  #register({ fd, dev }: Backing): number | undefined {
    if (this.#refused.has(dev)) return undefined;
    const { openBacking, logger } = this.#options;
    const id = openBacking(fd);
    if (id > 0) return id;
    const code = errorOf(id);
    if (code === 'EPERM') this.#turnOff('it needs CAP_SYS_ADMIN');
    else if (!PASSING.has(code)) {
      this.#refused.set(dev, code);
      logger.info(`the kernel reads no files of ${fileSystemOf(dev)} itself (${code}): the server reads them`);
    }
    return undefined;
  }

  /** Has the kernel look up the inode of a node again, which leads to another one. @throws ESTALE */
  #renew(node: number, forWriter: boolean): never {
    const { nodes } = this.#options;
    const ino = nodes.inodeOf(node);
    let now = nodes.nodeOf(ino);
    if (now === node) now = nodes.renew(ino);
    if (forWriter) this.#keep(now);
    throw new PosixError('ESTALE');
  }

  /** Keeps a node from being passed through before its writer has come. */
  #keep(node: number): void {
    const now = performance.now();
    for (const [kept, until] of this.#kept) if (until <= now) this.#kept.delete(kept);
    this.#kept.set(node, now + KEPT_MS);
  }

  #isKept(node: number): boolean {
    return performance.now() < (this.#kept.get(node) ?? 0);
  }

  #of(node: number): OpenNode {
    let open = this.#open.get(node);
    if (open === undefined) {
      open = { others: 0, passed: undefined };
      this.#open.set(node, open);
    }
    return open;
  }

  #otherEnds(node: number): void {
    const open = this.#open.get(node);
    if (open === undefined) return;
    open.others--;
    this.#endIfUnused(node, open);
  }

  #endIfUnused(node: number, { others, passed }: OpenNode): void {
    if (others <= 0 && passed === undefined) this.#open.delete(node);
  }
}
