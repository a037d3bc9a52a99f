/**
 * The control server: HTTP with JSON on a unix socket (`messages.ts` has the routes).
 *
 * It is a thin layer over what `mount` serves (`ServedStore`). The same process serves the mount, so nothing here may
 * block. A connection that sends rubbish gets a 400 and affects no other.
 */
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { basename, dirname } from 'node:path';
import { AutotorrentError, type ErrorCode, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { shownUser } from '../native/accounts.ts';
import { returnMemory } from '../native/return-memory.ts';
import { jsonText } from '../printable.ts';
import type { ServedStore } from '../server/served-store.ts';
import { Peers } from '../state/peer.ts';
import { keepPrivate } from '../state/private-folder.ts';
import { socketAddress } from '../state/socket-address.ts';
import { BODY_TIMES, type BodyTimes, chunksOf, jsonOf, linesOf } from './body.ts';
import { caseRoutes } from './case-routes.ts';
import { differenceLine, dueMessage, entryMessage, fileMessage, lossesMessage, sourceMessage } from './codec.ts';
import type {
  AddedMessage,
  ErrorMessage,
  GapsMessage,
  OwnerMessage,
  ReleaseMessage,
  RepairMessage,
  ShutdownLine,
  VerificationBegun,
} from './messages.ts';
import { damageIn, discardedIn, dueIn, infoHashesIn, nameLine, releaseIn, verifiedIn } from './requests.ts';
import { Slots } from './slots.ts';
import { statusMessage } from './status-codec.ts';
import { Turns } from './turns.ts';

/** Info hashes, or paths to discard: they are parsed at once, so the limit keeps that short. */
const JSON_LIMIT = 1024 * 1024;
/** Two bitfields of four million pieces in base64. */
const VERIFICATION_LIMIT = 2 * 1024 * 1024;
/** A path has at most 4096 bytes, which JSON may escape. */
const NAME_LIMIT = 64 * 1024;
/** Bodies of plans and names that are received at once: those of more than `LARGE` bytes, or of unknown length; and others. */
const LARGE = 1024 * 1024;
const LARGE_AT_ONCE = 2;
const SMALL_AT_ONCE = 64;
/** After a body of so many bytes its memory is returned to the system. */
const MUCH = 8 * 1024 * 1024;
/** A client that is refused may send for this long until it reads why. */
const LINGER_MS = 5000;
/** Commands that may be connected: each waiting `add` is. */
const MOST_CONNECTIONS = 1024;

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  USAGE: 400,
  TORRENT: 400,
  NOT_FOUND: 404,
  CONFLICT: 409,
  UNSUPPORTED: 422,
};

interface Call {
  readonly request: IncomingMessage;
  readonly reply: ServerResponse;
  /** The ID of the path, decoded; empty if the route has none. */
  readonly id: string;
  readonly query: URLSearchParams;
}

type Handler = (call: Call) => Promise<void>;

export interface ControlServer {
  /** Ends every connection, and removes the socket. */
  close(): Promise<void>;
}

/** Listens on `socketPath`, mode 0600. */
export async function startControlServer(
  store: ServedStore,
  socketPath: string,
  logger: Logger,
  times: BodyTimes = BODY_TIMES,
): Promise<ControlServer> {
  const routes = routesOf(store, times);
  const server = createServer((request, reply) => {
    dispatch(routes, request, reply).catch((error: unknown) => {
      logger.debug(`control: ${request.method ?? ''} ${request.url ?? ''}: ${messageOf(error)}`);
      fail(request, reply, error);
    });
  });
  server.maxConnections = MOST_CONNECTIONS;
  // A plan may take minutes while the disk is busy; `chunksOf` counts only what the other side takes.
  server.requestTimeout = 0;
  const peers = new Peers();
  // After Node's own listener, and before it reads: of a stranger's request not a byte is looked at.
  server.on('connection', (socket) => {
    const stranger = peers.stranger(socket);
    if (stranger === undefined) return;
    logger.warn(`control socket: ${shownUser(stranger)} was refused`);
    socket.destroy();
  });
  const folder = dirname(socketPath);
  keepPrivate(folder, { code: 'SERVER', what: 'the folder of the control socket', make: true, open: 'look' });
  // We hold the store's lock, so the process that left this socket has ended.
  await rm(socketPath, { force: true });
  // Kept until the server has closed: libuv removes the socket by this path.
  const address = socketAddress(folder, basename(socketPath));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // Later errors concern single connections, such as EMFILE from accept(2): they must not end the serving process.
    server.on('error', (error) => logger.warn(`control socket: ${messageOf(error)}`));
    // bind(2) runs inside listen, so the mode is right from the start.
    const umask = process.umask(0o177);
    server.listen(address.path, resolve);
    process.umask(umask);
  });
  return {
    async close() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeAllConnections();
      await closed;
      address.release();
      await rm(socketPath, { force: true });
    },
  };
}

/** Maps `METHOD path` to its handler; `ID` stands for one component of the path. */
function routesOf(store: ServedStore, times: BodyTimes): ReadonlyMap<string, Handler> {
  const turns = new Turns();
  const large = new Slots(LARGE_AT_ONCE);
  const small = new Slots(SMALL_AT_ONCE);
  const received = async <T>(request: IncomingMessage, work: () => Promise<T>): Promise<T> => {
    const bytes = Number(request.headers['content-length'] ?? Number.NaN);
    if (bytes <= LARGE) return await small.run(work);
    const before = request.socket.bytesRead;
    try {
      return await large.run(work);
    } finally {
      if (request.socket.bytesRead - before > MUCH && !large.busy) setImmediate(returnMemory);
    }
  };
  const infoHashOf = async (id: string): Promise<string> => await store.infoHashOf(id);
  return new Map<string, Handler>([
    ...caseRoutes({ settling: store.settling, infoHashOf, times, received, send, sendLines }),
    ['GET /v1/status', async ({ reply }) => send(reply, 200, statusMessage(await store.status()))],
    ['GET /v1/entries', async ({ reply }) => sendList(reply, await store.entries(), entryMessage)],
    ['GET /v1/entries/ID', async ({ reply, id }) => send(reply, 200, entryMessage(await store.entry(id)))],
    ['GET /v1/entries/ID/files', async ({ reply, id }) => sendLines(reply, await store.files(id), fileMessage)],
    ['GET /v1/entries/ID/sources', async ({ reply, id }) => sendLines(reply, await store.sources(id), sourceMessage)],
    ['GET /v1/entries/ID/metainfo', async ({ reply, id }) => sendBytes(reply, await store.metainfo(id))],
    [
      'GET /v1/entries/ID/pieces',
      async ({ reply, id }) => sendBytes(reply, await store.pieces(id), 'application/octet-stream'),
    ],
    [
      'POST /v1/release',
      async ({ request, reply }) => {
        const { mountPoints, links } = releaseIn(await jsonOf(request, JSON_LIMIT, times));
        const { sources, open } = await store.release(mountPoints, links);
        send(reply, 200, { sources, open } satisfies ReleaseMessage);
      },
    ],
    ['POST /v1/owner', async ({ reply }) => send(reply, 200, (await store.lookAtOwner()) satisfies OwnerMessage)],
    ['POST /v1/turn', async ({ reply }) => turns.take(reply)],
    [
      'POST /v1/entries',
      async ({ request, reply, query }) => {
        const directory = query.get('directory') ?? undefined;
        const entry = await received(request, async () => await store.create(chunksOf(request, times), directory));
        send(reply, 201, entryMessage(entry));
      },
    ],
    [
      'PUT /v1/entries/ID/names',
      async ({ request, reply, id }) => {
        const { files } = await store.entry(id);
        const limits = { limit: files, lineLimit: NAME_LIMIT };
        await received(request, async () => {
          await store.addNames(id, await linesOf(request, limits, times, nameLine));
        });
        send(reply, 204);
      },
    ],
    [
      'POST /v1/added',
      async ({ request, reply }) => {
        const marked = await store.markAdded(infoHashesIn(await jsonOf(request, JSON_LIMIT, times)));
        send(reply, 200, { info_hashes: marked } satisfies AddedMessage);
      },
    ],
    [
      'DELETE /v1/entries/ID',
      async ({ reply, id }) => {
        await store.remove(id);
        send(reply, 204);
      },
    ],
    [
      'POST /v1/entries/ID/verification',
      async ({ reply, id }) => send(reply, 200, (await store.beginVerification(id)) satisfies VerificationBegun),
    ],
    [
      'PUT /v1/entries/ID/verification',
      async ({ request, reply, id }) => {
        const found = verifiedIn(await jsonOf(request, VERIFICATION_LIMIT, times));
        send(reply, 200, entryMessage(await store.endVerification(id, found)));
      },
    ],
    [
      'POST /v1/entries/ID/pool',
      async ({ reply, id, query }) => send(reply, 200, await store.pool(id, Number(query.get('file') ?? Number.NaN))),
    ],
    ['POST /v1/entries/ID/protect', async ({ reply, id }) => send(reply, 200, await store.protect(id))],
    ['GET /v1/due', async ({ reply, query }) => sendLines(reply, store.dueEntries(dueIn(query)), dueMessage)],
    [
      'GET /v1/entries/ID/due',
      async ({ reply, id, query }) =>
        sendBytes(reply, await store.duePieces(id, dueIn(query)), 'application/octet-stream'),
    ],
    [
      'POST /v1/entries/ID/damage',
      async ({ request, reply, id }) => {
        await store.damaged(id, damageIn(await jsonOf(request, JSON_LIMIT, times)));
        send(reply, 204);
      },
    ],
    [
      'GET /v1/entries/ID/differences',
      async ({ reply, id }) => sendLines(reply, await store.differences(id), differenceLine),
    ],
    [
      'POST /v1/entries/ID/discard',
      async ({ request, reply, id }) => {
        send(reply, 200, await store.discard(id, discardedIn(await jsonOf(request, JSON_LIMIT, times))));
      },
    ],
    ['GET /v1/entries/ID/losses', async ({ reply, id }) => send(reply, 200, lossesMessage(await store.losses(id)))],
    [
      'POST /v1/entries/ID/gaps',
      async ({ reply, id }) => send(reply, 200, { bytes: await store.makeGaps(id) } satisfies GapsMessage),
    ],
    [
      'POST /v1/entries/ID/returned',
      async ({ reply, id }) => {
        await store.returned(id);
        send(reply, 204);
      },
    ],
    [
      'POST /v1/entries/ID/repair',
      async ({ reply, id }) => {
        const left = new AbortController();
        reply.once('close', () => left.abort());
        await sendLines(reply, await store.repair(id, left.signal), (news) => news satisfies RepairMessage);
      },
    ],
    [
      'POST /v1/shutdown',
      async ({ reply }) => {
        // The reply stays open until the server ends, so that the client can wait for that.
        reply.writeHead(202).flushHeaders();
        store.shutdown((warning) => {
          if (!reply.destroyed) reply.write(`${jsonText({ warning } satisfies ShutdownLine)}\n`);
        });
      },
    ],
  ]);
}

async function dispatch(
  routes: ReadonlyMap<string, Handler>,
  request: IncomingMessage,
  reply: ServerResponse,
): Promise<void> {
  const [path = '/', search = ''] = (request.url ?? '/').split('?', 2);
  const query = new URLSearchParams(search);
  const direct = routes.get(`${request.method ?? ''} ${path}`);
  if (direct !== undefined) return direct({ request, reply, query, id: '' });
  const [, version, collection, id, ...rest] = path.split('/');
  const pattern = ['', version, collection, 'ID', ...rest].join('/');
  const handler = routes.get(`${request.method ?? ''} ${pattern}`);
  if (handler === undefined || id === undefined || id === '') {
    throw new AutotorrentError('NOT_FOUND', `there is no ${request.method ?? ''} ${path} here`);
  }
  return handler({ request, reply, query, id: decoded(id) });
}

function decoded(component: string): string {
  try {
    return decodeURIComponent(component);
  } catch {
    throw new AutotorrentError('USAGE', `not percent-encoded UTF-8: ${component}`);
  }
}

function send(reply: ServerResponse, status: number, value?: unknown): void {
  if (value === undefined) {
    reply.writeHead(status).end();
    return;
  }
  reply.writeHead(status, { 'content-type': 'application/json' }).end(jsonText(value));
}

function sendBytes(reply: ServerResponse, bytes: Buffer, type = 'application/x-bittorrent'): void {
  reply.writeHead(200, { 'content-type': type }).end(bytes);
}

/** Sends a JSON array, item by item. */
async function sendList<T>(
  reply: ServerResponse,
  values: AsyncIterable<T>,
  toMessage: (value: T) => unknown,
): Promise<void> {
  reply.writeHead(200, { 'content-type': 'application/json' });
  let before = '[';
  for await (const value of values) {
    if (!(await sent(reply, before + jsonText(toMessage(value))))) return;
    before = ',';
  }
  reply.end(before === '[' ? '[]' : ']');
}

async function sendLines<T>(
  reply: ServerResponse,
  values: AsyncIterable<T>,
  toMessage: (value: T) => unknown,
): Promise<void> {
  reply.writeHead(200, { 'content-type': 'application/x-ndjson' });
  for await (const value of values) {
    if (!(await sent(reply, `${jsonText(toMessage(value))}\n`))) return;
  }
  reply.end();
}

/** Sends a part of a reply, and waits until more may follow. False once nobody reads it. */
async function sent(reply: ServerResponse, text: string): Promise<boolean> {
  if (reply.destroyed) return false;
  if (reply.write(text)) return true;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      reply.off('drain', done).off('close', done);
      resolve();
    };
    reply.on('drain', done).on('close', done);
  });
  return !reply.destroyed;
}

function fail(request: IncomingMessage, reply: ServerResponse, error: unknown): void {
  if (reply.headersSent) {
    // The answer has begun: only a cut shows that it is incomplete.
    reply.destroy();
    return;
  }
  const known = error instanceof AutotorrentError ? error : undefined;
  const message: ErrorMessage = {
    error: {
      code: known?.code ?? 'INTERNAL',
      message: messageOf(error),
      ...(known?.hint === undefined ? {} : { hint: known.hint }),
    },
  };
  // Who still sends must find the reply, and not go on for ever. A connection that is closed with the reply could fail his
  // next write, and the reply would be lost: he closes it.
  if (!request.complete) {
    reply.shouldKeepAlive = true;
    const timer = setTimeout(() => request.destroy(), LINGER_MS);
    request.once('close', () => clearTimeout(timer));
    request.resume();
  }
  send(reply, known === undefined ? 500 : (STATUS[known.code] ?? 500), message);
}
