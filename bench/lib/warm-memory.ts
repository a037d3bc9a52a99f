/** Makes memory available before a measurement needs it. */
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const CHUNK = Buffer.alloc(2 ** 20, 1);
/** No benchmark takes more at once. */
const LARGEST = 576 * 2 ** 20;

/**
 * Takes memory for a file of this many bytes in `folder`, and frees it. Call it right before a measurement: the host of a
 * virtual machine takes free memory back within seconds (free page reporting) and returns it page by page. The first write
 * of a new file was seen to take ten times as long because of that.
 */
export function warmMemory(folder: string, bytes: number): void {
  const name = join(folder, `warm ${process.pid} ${performance.now()}`);
  const fd = openSync(name, 'wx');
  for (let at = 0; at < Math.min(bytes, LARGEST); at += CHUNK.length) writeSync(fd, CHUNK);
  closeSync(fd);
  unlinkSync(name);
}
