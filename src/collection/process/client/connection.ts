/** Connects a command to the index process of a database, and starts the process if none runs. */
import type { Socket } from 'node:net';
import { MalformedBytes } from '../../../bytes/byte-codec.ts';
import { AutotorrentError, errnoOf, messageOf } from '../../../errors.ts';
import { isMissing, keepDatabasePrivate, missingDatabase } from '../../../leveldb/folder.ts';
import type { Logger } from '../../../logger.ts';
import { dial, Peers, UntrustedSocket } from '../../../state/peer.ts';
import { ANSWER_LIMIT, FRAME, type Frame, FrameReader, type FrameType, send } from '../wire/frames.ts';
import { decodeError, encodeText } from '../wire/messages.ts';
import { SOCKET } from '../wire/names.ts';
import { thisBuild } from './build.ts';
import { findFolder } from './folder.ts';
import { startProcess } from './start.ts';

export interface ConnectOptions {
  readonly db: string;
  /** Makes the database if there is none. */
  readonly create: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Default: this program's. */
  readonly build?: string | undefined;
}

/** The process went away, or the connection to it. */
export class ConnectionLost extends Error {}

const DESCRIBED = { code: 'INDEX', what: 'the collection index' } as const;
/** The most attempts, if the process ends during the connection or is of another build. */
const ATTEMPTS = 8;
/** A process that does not answer hello for this long hangs. */
const HELLO_MS = 30_000;

/**
 * Connects to the process that serves the database; starts one if none does.
 * @throws AutotorrentError('INDEX') if the database is missing or cannot be opened; the signal's reason
 */
export async function connectToProcess(options: ConnectOptions): Promise<Connection> {
  const { db, create, signal, build = await thisBuild() } = options;
  const peers = new Peers();
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    signal.throwIfAborted();
    keepDatabasePrivate(db, DESCRIBED, create, options.logger);
    const known = await findFolder(db, false);
    const met = known === undefined ? undefined : await meet(known, { build, peers, signal });
    if (met instanceof Connection) return met;
    signal.throwIfAborted();
    if (!create && (await isMissing(db))) throw missingDatabase(db, DESCRIBED);
    const folder = known ?? (await findFolder(db, true));
    if (folder === undefined) throw new Error('a folder was neither made nor refused');
    await startProcess({ ...options, folder, build });
  }
  throw new AutotorrentError('INDEX', `the index process of ${db} ends as soon as it is asked`, {
    hint: `its log is in ${(await findFolder(db, false)) ?? 'no folder'}`,
  });
}

/** Connects to the process that serves the database. Undefined if none of this build does. */
export async function findProcess({
  db,
  signal,
  build,
}: Pick<ConnectOptions, 'db' | 'signal' | 'build'>): Promise<Connection | undefined> {
  const folder = await findFolder(db, false);
  if (folder === undefined) return undefined;
  return await meet(folder, { build: build ?? (await thisBuild()), peers: new Peers(), signal });
}

/** Connects and says hello; undefined if no process of this build answers. */
async function meet(
  folder: string,
  { build, peers, signal }: Pick<ConnectOptions, 'signal'> & { readonly build: string; readonly peers: Peers },
): Promise<Connection | undefined> {
  const socket = await call(folder, peers);
  if (socket === undefined) return undefined;
  const connection = new Connection(socket);
  const giveUp = (): void => void socket.destroy();
  const timer = setTimeout(giveUp, HELLO_MS);
  if (signal.aborted) giveUp();
  signal.addEventListener('abort', giveUp);
  try {
    await connection.send(FRAME.hello, encodeText(build));
    const { type } = await connection.next();
    if (type === FRAME.welcome) return connection;
    // One of another build ends when its clients have gone, and another may be started already: it waits for it.
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', giveUp);
  }
  connection.close();
  return undefined;
}

async function call(folder: string, peers: Peers): Promise<Socket | undefined> {
  try {
    return await dial(folder, SOCKET, peers);
  } catch (cause) {
    if (cause instanceof UntrustedSocket)
      throw new AutotorrentError('INDEX', cause.message, { hint: cause.hint, cause });
    const errno = errnoOf(cause);
    // Gone, or left behind by a process that was killed: the next one removes it.
    if (errno === 'ENOENT' || errno === 'ECONNREFUSED' || errno === 'ECONNRESET') return undefined;
    throw new AutotorrentError('INDEX', `the index process at ${folder} cannot be asked: ${messageOf(cause)}`, {
      cause,
      hint: errno === 'EACCES' ? 'another user runs it: wait a minute, or run this as that user' : undefined,
    });
  }
}

export class Connection {
  readonly #socket: Socket;
  readonly #frames: FrameReader;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#frames = new FrameReader(socket, ANSWER_LIMIT);
  }

  async send(type: FrameType, payload?: Uint8Array): Promise<void> {
    await send(this.#socket, type, payload);
  }

  /** The payload of the next frame. @throws AutotorrentError that the process answers, or for another type; ConnectionLost */
  async expect(wanted: FrameType): Promise<Buffer> {
    const { type, payload } = await this.next();
    if (type !== wanted) throw nonsense(new MalformedBytes(`a message ${type} in place of ${wanted}`));
    return payload;
  }

  /** @throws AutotorrentError that the process answers; ConnectionLost */
  async next(): Promise<Frame> {
    let frame: Frame | undefined;
    try {
      frame = await this.#frames.next();
    } catch (error) {
      if (error instanceof MalformedBytes) throw nonsense(error);
      throw error;
    }
    if (frame === undefined) throw new ConnectionLost(messageOf(this.#frames.failure ?? 'it ended'));
    if (frame.type === FRAME.error) throw decoded(() => decodeError(frame.payload));
    return frame;
  }

  /** Ends this half of the connection: a rebuild stops, and answers. */
  end(): void {
    this.#socket.end();
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Runs `decode` on an answer. @throws AutotorrentError('INDEX') if the process answers nonsense */
export function decoded<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof MalformedBytes) throw nonsense(error);
    throw error;
  }
}

function nonsense(cause: MalformedBytes): AutotorrentError {
  return new AutotorrentError('INDEX', `the index process answers nonsense: ${cause.message}`, {
    cause,
    hint: 'run the command again; if it stays so, delete the folder of the process beside `db`',
  });
}
