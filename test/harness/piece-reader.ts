/**
 * Reads files through a mount, in a process of its own, and hashes their pieces: as the person who may read the mount, and
 * without holding up the test when a read waits. Reads go past the page cache (O_DIRECT), so each asks the server, but for those
 * of files that were opened as `cached`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../../src/errors.ts';
import type { Person } from './person.ts';

/** What reading all pieces of a torrent gave. */
export interface Pieces {
  readonly good: number;
  /** Numbers of the pieces whose bytes were read and are not the torrent's. */
  readonly wrong: readonly number[];
  /** How many could not be read, by error. */
  readonly failed: Readonly<Record<string, number>>;
  /** Numbers of the pieces that could not be read. */
  readonly unread: readonly number[];
}

export type ReaderRequest =
  | { readonly do: 'open'; readonly path: string; readonly cached: boolean }
  | { readonly do: 'close'; readonly fd: number }
  | {
      readonly do: 'pieces';
      /** The files of the torrent, in its order. */
      readonly fds: readonly number[];
      readonly lengths: readonly number[];
      readonly pieceLength: number;
      /** SHA-1 of each piece, in hex. */
      readonly hashes: readonly string[];
    };
export interface ReaderReply {
  readonly fd?: number;
  readonly pieces?: Pieces;
  readonly error?: string;
}

/** What a piece reader needs to know of a torrent. */
export interface HashedFiles {
  /** Bytes of each file. */
  readonly lengths: readonly number[];
  readonly pieceLength: number;
  readonly hashes: readonly string[];
}

/** As many reads at once as a busy client has. */
const THREADS = '256';

const ENDED = 'the reader has ended';

export class PieceReader {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (reply: ReaderReply) => void>();
  #asked = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', ({ id, ...reply }: ReaderReply & { readonly id: number }) => {
      this.#waiting.get(id)?.(reply);
      this.#waiting.delete(id);
    });
    child.on('exit', () => {
      for (const answer of this.#waiting.values()) answer({ error: ENDED });
    });
  }

  static start(person: Person): PieceReader {
    const program = fileURLToPath(new URL('piece-reader-process.js', import.meta.url));
    const [command, ...args] = [...person.command, process.execPath, program];
    const env = { ...process.env, UV_THREADPOOL_SIZE: THREADS };
    const child = spawn(command, args, { cwd: '/', env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    return new PieceReader(child);
  }

  async #ask(request: ReaderRequest): Promise<ReaderReply> {
    if (!this.#child.connected) return { error: ENDED };
    const id = this.#asked++;
    const reply = new Promise<ReaderReply>((resolve) => this.#waiting.set(id, resolve));
    this.#child.send({ id, ...request });
    return await reply;
  }

  /** Gives a descriptor in the reader's process. @throws Error with the error's code as its message */
  async open(path: string, { cached = false }: { readonly cached?: boolean } = {}): Promise<number> {
    const { fd, error } = await this.#ask({ do: 'open', path, cached });
    if (fd === undefined) throw new Error(`open: ${error}`);
    return fd;
  }

  async close(fd: number): Promise<void> {
    await this.#ask({ do: 'close', fd });
  }

  /** Reads all pieces of a torrent whose files are open, many at once. */
  async pieces(fds: readonly number[], { lengths, pieceLength, hashes }: HashedFiles): Promise<Pieces> {
    const { pieces, error } = await this.#ask({ do: 'pieces', fds, lengths, pieceLength, hashes });
    if (pieces === undefined) throw new Error(error);
    return pieces;
  }

  /** Opens the files of a torrent, reads all pieces, and closes them. If one cannot be opened, no piece is read. */
  async piecesOf(paths: readonly string[], files: HashedFiles): Promise<Pieces> {
    const fds: number[] = [];
    try {
      for (const path of paths) fds.push(await this.open(path));
      return await this.pieces(fds, files);
    } catch (error) {
      const unread = [...files.hashes.keys()];
      return { good: 0, wrong: [], failed: { [messageOf(error)]: unread.length }, unread };
    } finally {
      for (const fd of fds) await this.close(fd);
    }
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}
