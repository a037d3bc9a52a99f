/**
 * Memory that much is read into from files.
 *
 * The kernel copies what it reads with `rep movsb`. On an AMD Zen 3 that takes three times as long where the destination lies 1
 * to 31 bytes further in its page than the source in its own: 700 instead of 200 µs for a mebibyte. Such a place is the usual
 * one: malloc(3) begins each large block 16 bytes after the beginning of a page, and reads of a file begin with a page of it.
 */

/** Bytes that are left free at the beginning of a large block: what follows begins with a cache line, 64 bytes into its page. */
const SKIPPED_BYTES = 48;

/** Memory for files, with anything in it. */
export function readMemory(bytes: number): Buffer {
  return Buffer.allocUnsafeSlow(SKIPPED_BYTES + bytes).subarray(SKIPPED_BYTES);
}

/** The same, to be shared with threads. `readBytes` gives its bytes. */
export function sharedReadMemory(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(SKIPPED_BYTES + bytes);
}

/** The first `bytes` bytes of shared memory for files. */
export function readBytes(memory: SharedArrayBuffer, bytes: number): Buffer {
  return Buffer.from(memory, SKIPPED_BYTES, bytes);
}

/** The number of bytes that shared memory for files takes. */
export function roomIn(memory: SharedArrayBuffer): number {
  return memory.byteLength - SKIPPED_BYTES;
}
