/** A real rTorrent on a loopback address, in a temporary folder of its own. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type ClientDaemon, clientDaemon } from './client-daemon.ts';
import { freePort, startDaemon } from './daemon.ts';
import { temporaryFolder } from './folder.ts';
import type { User } from './other-user.ts';

export interface RtorrentOptions {
  /** The address that it binds to for peers. Two clients in one swarm need two addresses. Default: 127.0.0.1. */
  readonly address?: string;
  /**
   * The kind of its RPC address. Default: a socket in its folder, which only this user may enter. SCGI has no password:
   * while a test has it on `tcp`, every user of the machine can run programs as this one (`execute`).
   */
  readonly scgi?: 'tcp' | 'unix';
  /** Whom it runs as. Default: this process's user. */
  readonly user?: User;
  /** Further lines for its rtorrent.rc. */
  readonly rc?: readonly string[];
}

export async function startRtorrent(options: RtorrentOptions = {}): Promise<ClientDaemon> {
  const { address = '127.0.0.1', scgi = 'unix', rc = [] } = options;
  const folder = temporaryFolder('rtorrent');
  const downloads = join(folder, 'downloads');
  const session = join(folder, 'session');
  await mkdir(downloads, { mode: 0o700 });
  await mkdir(session, { mode: 0o700 });
  const peerPort = await freePort(address);
  const rpcPort = await freePort('127.0.0.1');
  const socket = join(folder, 'rpc.socket');
  refuseLongPath(socket);
  const file = join(folder, 'rtorrent.rc');
  await writeFile(
    file,
    [
      'system.daemon.set = true',
      `session.path.set = ${session}`,
      `directory.default.set = ${downloads}`,
      `network.bind_address.set = ${address}`,
      `network.local_address.set = ${address}`,
      `network.port_range.set = ${peerPort}-${peerPort}`,
      'network.port_random.set = no',
      'dht.mode.set = disable',
      'protocol.pex.set = no',
      'trackers.use_udp.set = no',
      scgi === 'tcp' ? `network.scgi.open_port = 127.0.0.1:${rpcPort}` : `network.scgi.open_local = ${socket}`,
      ...rc,
      '',
    ].join('\n'),
    { mode: 0o600 },
  );
  const target = scgi === 'tcp' ? { host: '127.0.0.1', port: rpcPort } : { path: socket };
  return clientDaemon({
    what: 'rTorrent',
    user: options.user,
    start: async (before) => {
      // A killed rTorrent leaves this lock, with which the next one refuses to start.
      await rm(join(session, 'rtorrent.lock'), { force: true });
      const [command, ...args] = [...before, 'rtorrent', '-n', '-o', `import=${file}`];
      return startDaemon(command, args, { cwd: folder });
    },
    answers: () => connects(target),
    end: 'SIGINT',
    url: scgi === 'tcp' ? `scgi://127.0.0.1:${rpcPort}` : `scgi://${socket}`,
    folder,
    downloads,
    address,
    peerPort,
  });
}

/** `sun_path` of unix(7), without its final zero. */
const LONGEST_SOCKET = 107;

function refuseLongPath(socket: string): void {
  if (Buffer.byteLength(socket) <= LONGEST_SOCKET) return;
  throw new Error(`${socket} is too long for a socket: set TMPDIR to a shorter path, such as /tmp`);
}

function connects(target: { host: string; port: number } | { path: string }): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(target);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', () => resolve(false));
  });
}
