import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const CHUNK = Buffer.alloc(2 ** 20, 1);
/** More than any benchmark takes at once. */
const LARGEST = 576 * 2 ** 20;

/**
 * Takes memory for a file of so many bytes in `folder`, and frees it. The host of a virtual machine may have taken free
 * memory back within seconds (free page reporting), and gives it out again page by page: a new file's first write was
 * seen to take ten times as long. To be called right before what is measured.
 */
export function warmMemory(folder: string, bytes: number): void {
  const name = join(folder, `warm ${process.pid} ${performance.now()}`);
  const fd = openSync(name, 'wx');
  for (let at = 0; at < Math.min(bytes, LARGEST); at += CHUNK.length) writeSync(fd, CHUNK);
  closeSync(fd);
  unlinkSync(name);
}
