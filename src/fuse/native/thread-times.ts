/**
 * The mtime that utimens(2) asks for. fuse-native 2.2.6 hands its handler the atime twice; both lie side by side in the
 * memory of the thread that asks, a Buffer that each handler gets as its first argument.
 *
 * That layout is not promised: it is believed for a call in which the atime is found where it must be, which a build with
 * another one would not survive.
 */
import type Fuse from 'fuse-native';

/** `static const uint32_t op_utimens` in its C source. */
const OP_UTIMENS = 12;
/** Of `size_t atime` in its `fuse_thread_locals_t`, where pointers have 64 bits; `mtime` follows. Milliseconds. */
const ATIME_OFFSET = 104;

export class ThreadTimes {
  #thread: Buffer | undefined;

  /** Before it mounts. */
  watch(fuse: Fuse): void {
    const handler = fuse._handlers[OP_UTIMENS];
    if (handler === undefined) return;
    fuse._handlers[OP_UTIMENS] = (thread, operation, ...args) => {
      this.#thread = thread;
      handler(thread, operation, ...args);
    };
  }

  /** In the handler of utimens: milliseconds, or undefined where it cannot be known. */
  mtime(atime: number): number | undefined {
    const thread = this.#thread;
    this.#thread = undefined;
    if (thread === undefined || thread.length < ATIME_OFFSET + 16) return undefined;
    const at = (offset: number): number => thread.readUInt32LE(offset) + thread.readUInt32LE(offset + 4) * 2 ** 32;
    return at(ATIME_OFFSET) === atime ? at(ATIME_OFFSET + 8) : undefined;
  }
}
