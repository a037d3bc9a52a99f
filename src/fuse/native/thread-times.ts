/**
 * Finds the times of a utimens(2) call: fuse-native 2.2.6 hands its handler the atime twice, as an unsigned number, although
 * a time before 1970 is negative. Both times lie side by side in the memory of the calling thread, a Buffer that each
 * handler gets as its first argument.
 *
 * This layout is not documented. A call believes it only if the atime is found in its place, which no other layout would
 * pass.
 */
import type Fuse from 'fuse-native';

/** `static const uint32_t op_utimens` in fuse-native's C source. */
const OP_UTIMENS = 12;
/** The offset of `size_t atime` in its `fuse_thread_locals_t`, with pointers of 64 bits. `mtime` follows. Milliseconds. */
const ATIME_OFFSET = 104;

export class ThreadTimes {
  #thread: Buffer | undefined;

  /** Wraps the handler of utimens. Call it before the mount. */
  watch(fuse: Fuse): void {
    const handler = fuse._handlers[OP_UTIMENS];
    if (handler === undefined) return;
    fuse._handlers[OP_UTIMENS] = (thread, operation, ...args) => {
      this.#thread = thread;
      handler(thread, operation, ...args);
    };
  }

  /**
   * Gives the times of the running utimens call, in milliseconds since the epoch, negative before it. `handed` is the atime
   * that the handler got: an unsigned number. If the mtime cannot be found, it is taken to be the atime.
   */
  of(handed: number): { readonly atime: number; readonly mtime: number } {
    const thread = this.#thread;
    this.#thread = undefined;
    if (
      thread === undefined ||
      thread.length < ATIME_OFFSET + 16 ||
      Number(thread.readBigUInt64LE(ATIME_OFFSET)) !== handed
    ) {
      const time = Number(BigInt.asIntN(64, BigInt(handed)));
      return { atime: time, mtime: time };
    }
    const at = (offset: number): number => Number(thread.readBigInt64LE(offset));
    return { atime: at(ATIME_OFFSET), mtime: at(ATIME_OFFSET + 8) };
  }
}
