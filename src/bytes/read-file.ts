/**
 * Reads a small file whole: a .torrent, a configuration. Its path may lead to anything, so nothing here waits for a FIFO
 * without a writer, or reads a device without an end.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { Socket } from 'node:net';

/** O_NONBLOCK: opening a FIFO must not wait for its writer; regular files ignore it. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
/** O_PATH of x86 and ARM, which Node does not name: finds a file without opening it. */
const O_PATH = 0o10000000;

/** The reason why an opened file is not read. */
export class UnfitFile extends Error {
  readonly code: 'NOT_REGULAR' | 'TOO_LARGE';

  constructor(code: UnfitFile['code'], message: string) {
    super(message);
    this.name = 'UnfitFile';
    this.code = code;
  }
}

/**
 * Reads a regular file of at most `most` bytes. Synchronous: promises take several times as long as reading a small file.
 * @throws UnfitFile, and the errors of open(2) and read(2)
 */
export function readSmallFile(path: string, most: number): Buffer {
  const { fd, stats } = openFit(path, (kind) => kind.isFile());
  try {
    return readToEnd(fd, stats.size, most);
  } finally {
    closeSync(fd);
  }
}

/**
 * Reads a regular file of at most `most` bytes, or a pipe, which a user may name (`<(…)`). It reads a pipe until its writers
 * have closed it, and waits for one without a writer until `signal` is aborted. `inspect` gets the stats of the opened file.
 * @throws UnfitFile, the errors of open(2) and read(2), and the reason of `signal`
 */
export async function readSmallFileOrPipe(
  path: string,
  most: number,
  signal?: AbortSignal,
  inspect?: (stats: Stats) => void,
): Promise<Buffer> {
  const { fd, stats } = openFit(path, (kind) => kind.isFile() || kind.isFIFO());
  let ours = true;
  try {
    inspect?.(stats);
    if (stats.isFile()) return readToEnd(fd, stats.size, most);
    ours = false;
    return await readPipe(fd, most, signal);
  } finally {
    if (ours) closeSync(fd);
  }
}

/** Opens a file only once its kind is known: to open a device can rewind a tape or start a watchdog. */
function openFit(path: string, fits: (stats: Stats) => boolean): { readonly fd: number; readonly stats: Stats } {
  const place = openSync(path, O_PATH);
  const itself = `/proc/self/fd/${place}`;
  try {
    const stats = fstatSync(place);
    if (!fits(stats)) throw unfit(stats);
    return { fd: openSync(itself, FLAGS), stats };
  } catch (error) {
    // The user knows the file by the path that he gave.
    if (error instanceof Error) error.message = error.message.replace(`'${itself}'`, () => `'${path}'`);
    throw error;
  } finally {
    closeSync(place);
  }
}

/** Closes `fd`. */
async function readPipe(fd: number, most: number, signal: AbortSignal | undefined): Promise<Buffer> {
  const pipe = new Socket({ fd, readable: true, writable: false });
  const abort = (): void => void pipe.destroy(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    signal?.throwIfAborted();
    const parts: Buffer[] = [];
    let length = 0;
    for await (const part of pipe) {
      length += (part as Buffer).length;
      if (length > most) throw tooLarge(`more than ${most} bytes came through the pipe`);
      parts.push(part as Buffer);
    }
    return Buffer.concat(parts);
  } finally {
    signal?.removeEventListener('abort', abort);
    pipe.destroy();
  }
}

/** `size` is a guess: a file may grow, or report no size, like those of /proc. */
function readToEnd(fd: number, size: number, most: number): Buffer {
  if (size > most) throw tooLarge(`it is ${size} bytes long`);
  let buffer = Buffer.allocUnsafe(size + 1);
  let length = 0;
  for (;;) {
    const bytes = readSync(fd, buffer, length, buffer.length - length, null);
    if (bytes === 0) return buffer.subarray(0, length);
    length += bytes;
    if (length > most) throw tooLarge(`it is more than ${most} bytes long`);
    if (length === buffer.length) buffer = Buffer.concat([buffer], Math.min(most + 1, Math.max(4096, length * 2)));
  }
}

const tooLarge = (message: string): UnfitFile => new UnfitFile('TOO_LARGE', message);

function unfit(stats: Stats): UnfitFile {
  const kinds = [
    ['isDirectory', 'a folder'],
    ['isFIFO', 'a pipe'],
    ['isSocket', 'a socket'],
    ['isCharacterDevice', 'a device'],
    ['isBlockDevice', 'a device'],
  ] as const;
  const kind = kinds.find(([is]) => stats[is]())?.[1] ?? 'something else';
  return new UnfitFile('NOT_REGULAR', `it is ${kind}, not a file`);
}
