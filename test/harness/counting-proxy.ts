/** Sits before a client's RPC and counts the calls: the adapters open a connection for each. */
import { connect, createServer, type Socket } from 'node:net';

export interface CountingProxy {
  /** The client's URL, through the proxy. */
  readonly url: string;
  /** Calls since the last `reset`. */
  readonly calls: number;
  reset(): void;
  /** Runs at the `count`th call from now on, before the client gets it. */
  at(count: number, act: () => void): void;
  stop(): Promise<void>;
}

/** The proxy listens here, on the client's own port: qBittorrent refuses a request whose `Host` names another. */
const ADDRESS = '127.0.0.77';

/** `url`: `http://127.0.0.1:PORT/…`, also with an account in it, or `scgi:///PATH`, whose proxy is a socket beside it. */
export async function startCountingProxy(url: string): Promise<CountingProxy> {
  const path = /^scgi:\/\/(\/.*)$/.exec(url)?.[1];
  const port = Number(/:(\d+)/.exec(url)?.[1]);
  const behind = path === undefined ? { host: '127.0.0.1', port } : { path };
  const at = path === undefined ? { host: ADDRESS, port } : { path: `${path}.counted` };
  let calls = 0;
  let awaited: { readonly at: number; readonly act: () => void } | undefined;
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    calls++;
    if (calls === awaited?.at) awaited.act();
    const target = connect({ ...behind, allowHalfOpen: true });
    for (const [from, to] of [
      [socket, target],
      [target, socket],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy()).on('close', () => sockets.delete(from));
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, resolve);
  });
  return {
    url: path === undefined ? url.replace(`127.0.0.1:${port}`, `${ADDRESS}:${port}`) : `${url}.counted`,
    get calls() {
      return calls;
    },
    reset() {
      calls = 0;
    },
    at(count, act) {
      awaited = { at: calls + count, act };
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
