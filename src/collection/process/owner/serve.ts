/**
 * Listens in the process's folder and serves clients, until none has connected for a while.
 *
 * It ends at once if somebody removes or replaces its database or its socket.
 */
import { chmodSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { AutotorrentError } from '../../../errors.ts';
import type { Logger } from '../../../logger.ts';
import { shownUser } from '../../../native/accounts.ts';
import { Peers } from '../../../state/peer.ts';
import { socketAddress } from '../../../state/socket-address.ts';
import type { Collection } from '../../collection.ts';
import type { CollectionIndex } from '../../index.ts';
import type { RebuildRequest, RebuildResult, RebuildWatcher } from '../../writer.ts';
import { SOCKET } from '../wire/names.ts';
import type { GivenFoldersFile } from './given-folders-file.ts';
import { serveSession } from './session.ts';

export interface ServeOptions {
  readonly collection: Collection & { settle(): Promise<void>; givenFolders(): Promise<readonly Buffer[]> };
  /** The list of folders that are no disks, beside the database. */
  readonly givenFolders: GivenFoldersFile;
  readonly db: string;
  readonly folder: string;
  readonly build: string;
  readonly idleMs: number;
  /** Ends it: rebuilds stop, questions are answered. */
  readonly signal: AbortSignal;
  readonly onListening: () => void;
  readonly logger: Logger;
}

const CONNECTIONS = 256;
const LOOK_MS = 500;

/** Resolves when it has ended; the database may be closed then. */
export async function serveIndex(options: ServeOptions): Promise<void> {
  const server = new IndexServer(options);
  await server.listen();
  options.onListening();
  await server.ended;
  await options.collection.settle();
}

class IndexServer {
  readonly ended: Promise<void>;
  readonly #options: ServeOptions;
  readonly #server: Server;
  readonly #sessions = new Set<Socket>();
  readonly #rebuilds = new AbortController();
  readonly #rebuilding = new Set<{ readonly work: Promise<unknown>; readonly signal: AbortSignal | undefined }>();
  readonly #peers = new Peers();
  readonly #database: string | undefined;
  readonly #collection: Collection;
  #socket: string | undefined;
  #idle: NodeJS.Timeout | undefined;
  #looking: NodeJS.Timeout | undefined;
  #retired = false;
  #end: () => void = () => {};

  constructor(options: ServeOptions) {
    this.#options = options;
    this.#collection = {
      openIndex: () => this.#open(),
      rebuild: (request, watcher) => this.#rebuild(request, watcher),
    };
    this.#database = identityOf(join(options.db, 'LOCK'));
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    // A client that has said all that it wants to say may still wait for an answer.
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#take(socket));
    this.#server.maxConnections = CONNECTIONS;
    options.signal.addEventListener('abort', () => this.#stop());
  }

  async listen(): Promise<void> {
    const { folder } = this.#options;
    const path = join(folder, SOCKET);
    // Under another name first: libuv removes that one when it closes, whoever's it is by then. The database is locked,
    // so what is at `path` was left behind.
    const own = `${SOCKET}.${process.pid}`;
    // A process that was killed before it renamed its own may even have had this process's id.
    for (const name of readdirSync(folder)) if (name.startsWith(`${SOCKET}.`)) rmSync(join(folder, name));
    const address = socketAddress(folder, own);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen(address.path, resolve);
      });
    } finally {
      address.release();
    }
    chmodSync(join(folder, own), 0o600);
    renameSync(join(folder, own), path);
    this.#socket = identityOf(path);
    this.#looking = setInterval(() => this.#look(), LOOK_MS);
    this.#waitForClients();
    if (this.#options.signal.aborted) this.#stop();
  }

  #take(socket: Socket): void {
    const stranger = this.#peers.stranger(socket);
    if (stranger !== undefined) {
      this.#options.logger.warn(`${shownUser(stranger)} was refused at the socket`);
      socket.destroy();
      return;
    }
    // Where the database was replaced since the last look, the client is to meet the next process.
    if (this.#retired || !this.#isOurs()) {
      socket.destroy();
      return;
    }
    clearTimeout(this.#idle);
    this.#sessions.add(socket);
    void this.#serve(socket);
  }

  async #serve(socket: Socket): Promise<void> {
    const { build } = this.#options;
    const outcome = await serveSession(socket, {
      collection: this.#collection,
      build,
      signal: this.#rebuilds.signal,
      noneStops: () => this.#noneStops(),
    });
    socket.destroy();
    this.#sessions.delete(socket);
    if (outcome === 'other build') this.#retire();
    this.#waitForClients();
  }

  /** The first to open an index of a version that had no such list makes it. */
  async #open(): Promise<CollectionIndex> {
    const { collection, givenFolders } = this.#options;
    const index = await collection.openIndex();
    if (!(await givenFolders.exists())) await givenFolders.add(await collection.givenFolders());
    return index;
  }

  /**
   * Retires where LevelDB fails. Once it could not write, for want of room perhaps, it refuses every write until it is opened
   * anew, which the next process does.
   */
  async #rebuild(request: RebuildRequest, watcher: RebuildWatcher = {}): Promise<RebuildResult> {
    try {
      const { collection, givenFolders } = this.#options;
      const work = collection.rebuild(request, watcher);
      const rebuild = { work, signal: watcher.signal };
      this.#rebuilding.add(rebuild);
      const result = await work.finally(() => this.#rebuilding.delete(rebuild));
      // What is read on disks alone gives no folder: a server that renews its index leaves the list as it is.
      const disks = new Set(request.disks.map(nameOf));
      const isOfDisks = request.paths?.every((path) => disks.has(nameOf(path))) === true;
      if (!isOfDisks) await givenFolders.add(await collection.givenFolders(), watcher.logger);
      return result;
    } catch (error) {
      if (!(error instanceof AutotorrentError) && watcher.signal?.aborted !== true) this.#retire();
      throw error;
    }
  }

  /** A rebuild that was stopped goes on for as long as a file system keeps its threads in a call. */
  async #noneStops(): Promise<void> {
    const stopped = [...this.#rebuilding].filter(({ signal }) => signal?.aborted === true);
    await Promise.allSettled(stopped.map(({ work }) => work));
  }

  #waitForClients(): void {
    if (this.#sessions.size > 0) return;
    clearTimeout(this.#idle);
    if (this.#retired) this.#end();
    else this.#idle = setTimeout(() => this.#retire(), this.#options.idleMs);
  }

  /** Takes no more clients, and ends with the last that it has. */
  #retire(): void {
    if (!this.#retired) {
      this.#retired = true;
      clearTimeout(this.#idle);
      clearInterval(this.#looking);
      const path = join(this.#options.folder, SOCKET);
      // Removed while the database is locked: another process's socket is not there yet.
      if (this.#socket !== undefined && identityOf(path) === this.#socket) rmSync(path, { force: true });
      this.#server.close();
    }
    if (this.#sessions.size === 0) this.#end();
  }

  /** Stops rebuilds as well. */
  #stop(): void {
    this.#rebuilds.abort(new Error('the index process was asked to end'));
    this.#retire();
  }

  #look(): void {
    if (!this.#isOurs()) {
      // What is written now is lost, and answers are of an index that is gone.
      this.#stop();
      for (const socket of this.#sessions) socket.destroy();
    } else if (identityOf(join(this.#options.folder, SOCKET)) !== this.#socket) this.#retire();
  }

  #isOurs(): boolean {
    return identityOf(join(this.#options.db, 'LOCK')) === this.#database;
  }
}

/** The device and inode of a path; undefined if nothing is there. */
function identityOf(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

function nameOf(path: Buffer | string): string {
  return Buffer.from(path as Buffer).toString('latin1');
}
