/** A real rTorrent on a loopback address, in a temporary folder of its own. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type ClientDaemon, clientDaemon } from './client-daemon.ts';
import { freePort, startDaemon } from './daemon.ts';
import { temporaryFolder } from './folder.ts';

export interface RtorrentOptions {
  /** The address that it binds to for peers. Two clients in one swarm need two addresses. Default: 127.0.0.1. */
  readonly address?: string;
  /** The kind of its RPC address. Default: tcp. */
  readonly scgi?: 'tcp' | 'unix';
  /** Further lines for its rtorrent.rc. */
  readonly rc?: readonly string[];
}

export async function startRtorrent(options: RtorrentOptions = {}): Promise<ClientDaemon> {
  const { address = '127.0.0.1', scgi = 'tcp', rc = [] } = options;
  const folder = temporaryFolder('rtorrent');
  const downloads = join(folder, 'downloads');
  const session = join(folder, 'session');
  await mkdir(downloads);
  await mkdir(session);
  const peerPort = await freePort(address);
  const rpcPort = await freePort('127.0.0.1');
  const socket = join(folder, 'rpc.socket');
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
  );
  const target = scgi === 'tcp' ? { host: '127.0.0.1', port: rpcPort } : { path: socket };
  return clientDaemon({
    what: 'rTorrent',
    start: async () => {
      // A killed rTorrent leaves this lock, with which the next one refuses to start.
      await rm(join(session, 'rtorrent.lock'), { force: true });
      return startDaemon('rtorrent', ['-n', '-o', `import=${file}`], { cwd: folder });
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
