/**
 * Answers requests for extended attributes: values from the vfs, and empty lists.
 *
 * Before each write, the kernel asks for `security.capability`, unless the whole mount has no extended attributes, or it was agreed
 * that the server clears set-id bits (HANDLE_KILLPRIV_V2, Linux 5.12): then it remembers for each inode that there is none, until it
 * refreshes the inode's attributes. So there are extended attributes only with that; else ENOSYS, once, ends the requests.
 */
import { PosixError } from '../../errors.ts';
import type { MaybePromise, Operations } from '../../vfs/operations.ts';
import { bytesReply, xattrSizeReply } from './protocol/replies.ts';
import type { GetxattrRequest, ListxattrRequest } from './protocol/request.ts';
import { InitFlag } from './protocol/structures.ts';

const NOTHING = Buffer.alloc(0);

export class ExtendedAttributes {
  readonly #get: Operations['getxattr'];
  #kept = false;

  constructor(operations: Pick<Operations, 'getxattr'>) {
    this.#get = operations.getxattr?.bind(operations);
  }

  /** `flags`: what was agreed on with the kernel. */
  begin(flags: bigint): void {
    this.#kept = this.#get !== undefined && (flags & InitFlag.HANDLE_KILLPRIV_V2) !== 0n;
  }

  /** Gives the reply. @throws what the vfs throws; ERANGE if the value is longer than the caller's buffer; ENOSYS */
  get(ino: number, { unique, name, size, uid, gid }: GetxattrRequest): MaybePromise<Buffer> {
    if (!this.#kept || this.#get === undefined) throw new PosixError('ENOSYS');
    const reply = (value: Buffer): Buffer => {
      if (size === 0) return xattrSizeReply(unique, value.length);
      if (size < value.length) throw new PosixError('ERANGE');
      return bytesReply(unique, value);
    };
    const value = this.#get(ino, name, { uid, gid });
    return value instanceof Promise ? value.then(reply) : reply(value);
  }

  /** Gives the reply: the vfs lists none. @throws ENOSYS */
  list({ unique, size }: ListxattrRequest): Buffer {
    if (!this.#kept) throw new PosixError('ENOSYS');
    return size === 0 ? xattrSizeReply(unique, 0) : bytesReply(unique, NOTHING);
  }
}
