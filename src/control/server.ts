/**
 * The control server: HTTP with JSON on a unix socket (`messages.ts` has the routes).
 *
 * It is a thin call of what `mount` serves (`ServedStore`), and the process that runs it also serves the mount: nothing
 * here may block. A connection that sends rubbish gets a 400 and hurts nobody else.
 */
import { lstat, mkdir, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { AutotorrentError, type ErrorCode, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { ServedStore } from '../server/served-store.ts';
import { bytesOf, jsonOf, linesOf } from './body.ts';
import { differenceLine, entryMessage, fileMessage, statusMessage } from './codec.ts';
import type { AddedMessage, ErrorMessage, ShutdownLine, VerificationBegun } from './messages.ts';
import { discardedPathsIn, infoHashesIn, nameLine, verifiedIn } from './requests.ts';
import { Turns } from './turns.ts';

/** 64 MiB of metainfo, and what the extents of its files may take. */
const PLAN_LIMIT = 512 * 1024 * 1024;
/** Info hashes, bitfields, paths to discard: parsed at once, so no more than takes a moment. */
const JSON_LIMIT = 16 * 1024 * 1024;
/** A torrent has no more files than its 64 MiB can name; a path has at most 4096 bytes, which JSON may escape. */
const NAMES_LIMIT = { limit: 8_000_000, lineLimit: 64 * 1024 };

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
  /** The ID of the path, decoded; empty where the route has none. */
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
): Promise<ControlServer> {
  const routes = routesOf(store);
  const server = createServer((request, reply) => {
    dispatch(routes, request, reply).catch((error: unknown) => {
      logger.debug(`control: ${request.method ?? ''} ${request.url ?? ''}: ${messageOf(error)}`);
      fail(reply, error);
    });
  });
  await makeOwnFolder(dirname(socketPath));
  // The store's lock is ours: whoever left this socket has ended.
  await rm(socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // Later ones are of single connections, such as EMFILE from accept(2): they must not end the process that serves.
    server.on('error', (error) => logger.warn(`control socket: ${messageOf(error)}`));
    // bind(2) happens inside listen: the mode is right from the first moment on.
    const umask = process.umask(0o177);
    server.listen(socketPath, resolve);
    process.umask(umask);
  });
  return {
    async close() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeAllConnections();
      await closed;
      await rm(socketPath, { force: true });
    },
  };
}

/**
 * Makes the folder of the socket for this user alone. One that is there must be ours or root's, and nobody else's to
 * write to: in a folder that all share (the system's temporary one), another user may have made it first.
 */
async function makeOwnFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { uid, mode } = await lstat(folder);
  const owners = [0, process.getuid?.() ?? 0];
  if (owners.includes(uid) && (mode & 0o002) === 0) return;
  throw new AutotorrentError('SERVER', `${folder} belongs to, or can be written by, another user`, {
    hint: 'The control socket must lie in a folder of your own: chmod o-w it, set XDG_RUNTIME_DIR, or shorten state_path.',
  });
}

/** `METHOD path` to its handler, `ID` standing for one component of the path. */
function routesOf(store: ServedStore): ReadonlyMap<string, Handler> {
  const turns = new Turns();
  return new Map<string, Handler>([
    ['GET /v1/status', async ({ reply }) => send(reply, 200, statusMessage(await store.status()))],
    ['GET /v1/entries', async ({ reply }) => send(reply, 200, (await store.entries()).map(entryMessage))],
    ['GET /v1/entries/ID', async ({ reply, id }) => send(reply, 200, entryMessage(await store.entry(id)))],
    ['GET /v1/entries/ID/files', async ({ reply, id }) => sendLines(reply, await store.files(id), fileMessage)],
    ['GET /v1/entries/ID/metainfo', async ({ reply, id }) => sendBytes(reply, await store.metainfo(id))],
    [
      'GET /v1/entries/ID/pieces',
      async ({ reply, id }) => sendBytes(reply, await store.pieces(id), 'application/octet-stream'),
    ],
    ['POST /v1/turn', async ({ reply }) => turns.take(reply)],
    [
      'POST /v1/entries',
      async ({ request, reply, query }) => {
        const plan = await bytesOf(request, PLAN_LIMIT);
        send(reply, 201, entryMessage(await store.create(plan, query.get('directory') ?? undefined)));
      },
    ],
    [
      'PUT /v1/entries/ID/names',
      async ({ request, reply, id }) => {
        await store.addNames(id, await linesOf(request, NAMES_LIMIT, nameLine));
        send(reply, 204);
      },
    ],
    [
      'POST /v1/added',
      async ({ request, reply }) => {
        const marked = await store.markAdded(infoHashesIn(await jsonOf(request, JSON_LIMIT)));
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
      async ({ reply, id }) =>
        send(reply, 200, { since: await store.beginVerification(id) } satisfies VerificationBegun),
    ],
    [
      'PUT /v1/entries/ID/verification',
      async ({ request, reply, id }) => {
        const found = verifiedIn(await jsonOf(request, JSON_LIMIT));
        send(reply, 200, entryMessage(await store.endVerification(id, found)));
      },
    ],
    [
      'POST /v1/entries/ID/pool',
      async ({ reply, id, query }) => send(reply, 200, await store.pool(id, Number(query.get('file') ?? Number.NaN))),
    ],
    [
      'GET /v1/entries/ID/differences',
      async ({ reply, id }) => sendLines(reply, await store.differences(id), differenceLine),
    ],
    [
      'POST /v1/entries/ID/discard',
      async ({ request, reply, id }) => {
        send(reply, 200, await store.discard(id, discardedPathsIn(await jsonOf(request, JSON_LIMIT))));
      },
    ],
    [
      'POST /v1/shutdown',
      async ({ reply }) => {
        // The reply stays open until the server ends, so that whoever asked can wait for that.
        reply.writeHead(202).flushHeaders();
        store.shutdown((warning) => {
          if (!reply.destroyed) reply.write(`${JSON.stringify({ warning } satisfies ShutdownLine)}\n`);
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
  reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function sendBytes(reply: ServerResponse, bytes: Buffer, type = 'application/x-bittorrent'): void {
  reply.writeHead(200, { 'content-type': type }).end(bytes);
}

async function sendLines<T>(
  reply: ServerResponse,
  values: AsyncIterable<T>,
  toMessage: (value: T) => unknown,
): Promise<void> {
  reply.writeHead(200, { 'content-type': 'application/x-ndjson' });
  for await (const value of values) {
    if (reply.destroyed) return;
    if (!reply.write(`${JSON.stringify(toMessage(value))}\n`)) {
      await new Promise<void>((resolve) => {
        reply.once('drain', resolve).once('close', resolve);
      });
    }
  }
  reply.end();
}

function fail(reply: ServerResponse, error: unknown): void {
  if (reply.headersSent) {
    // The answer has begun: cutting it off is the only way left to say that it is not whole.
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
  send(reply, known === undefined ? 500 : (STATUS[known.code] ?? 500), message);
}
