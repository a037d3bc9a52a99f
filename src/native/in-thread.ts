/** Calls functions of the C library in a thread of libuv, for the process that must not wait for a disk. */
import type { LoadedLibrary } from './c-library.ts';

type KoffiFunction = ReturnType<LoadedLibrary['func']>;

/** The values of the calls under way: the kernel uses their buffers in another thread, so they must not be collected. */
const inUse = new Set<readonly unknown[]>();

/** Gives the call's result as a number. `koffi.errno()` then says nothing of it: errno belongs to the other thread. */
export async function inThread(call: KoffiFunction, ...values: readonly unknown[]): Promise<number> {
  inUse.add(values);
  try {
    return await new Promise<number>((resolve, reject) => {
      call.async(...values, (error: Error | null, result: unknown) => {
        if (error === null) resolve(Number(result));
        else reject(error);
      });
    });
  } finally {
    inUse.delete(values);
  }
}

/** A path as C functions want it. @throws RangeError for a path that would end early */
export function terminated(path: Buffer): Buffer {
  if (path.includes(0)) throw new RangeError('a path has a zero byte');
  return Buffer.concat([path, Buffer.of(0)]);
}
