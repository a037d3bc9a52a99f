/** A real deluged, and a real deluge-web if wanted, on loopback addresses, in a temporary folder of their own. */
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type ClientDaemon, clientDaemon } from './client-daemon.ts';
import { type Daemon, freePort, startDaemon, waitUntil } from './daemon.ts';
import { temporaryFolder } from './folder.ts';

export interface DelugeOptions {
  /** The address on which it listens for peers. Two clients in one swarm need two addresses. Default: 127.0.0.1. */
  readonly address?: string;
  /** True: also runs its web interface; `url` then leads there, with its password. */
  readonly web?: boolean;
  /** Further keys of core.conf. */
  readonly core?: Readonly<Record<string, unknown>>;
}

export const USER = 'me';
export const PASSWORD = 'no-secret';

/** `url` is `deluge://me:password@host:port` for the daemon, `http://:password@host:port` for the web interface. */
export async function startDeluge(options: DelugeOptions = {}): Promise<ClientDaemon> {
  const { address = '127.0.0.1', web = false, core = {} } = options;
  const folder = temporaryFolder('deluge');
  const config = join(folder, 'config');
  const downloads = join(folder, 'downloads');
  await mkdir(downloads);
  await mkdir(config);
  const peerPort = await freePort(address);
  const port = await freePort('127.0.0.1');
  const webPort = await freePort('127.0.0.1');
  const settings = {
    daemon_port: port,
    download_location: downloads,
    dht: false,
    lsd: false,
    upnp: false,
    natpmp: false,
    utpex: false,
    new_release_check: false,
    random_port: false,
    listen_ports: [peerPort, peerPort],
    listen_interface: address,
    outgoing_interface: address,
    rate_limit_ip_overhead: false,
    max_active_seeding: -1,
    max_active_downloading: -1,
    max_active_limit: -1,
    ...core,
  };
  await writeFile(join(config, 'core.conf'), `{"file": 1, "format": 1}${JSON.stringify(settings)}`);
  await writeFile(join(config, 'auth'), `${USER}:${PASSWORD}:10\nlocalclient:${PASSWORD}:10\n`);
  const host = `127.0.0.1:${port}`;
  await writeFile(
    join(config, 'hostlist.conf'),
    `{"file": 3, "format": 1}${JSON.stringify({ hosts: [['abc', '127.0.0.1', port, USER, PASSWORD]] })}`,
  );
  let website: Daemon | undefined;
  const environment = { cwd: folder };
  const daemon = await clientDaemon({
    what: 'Deluge',
    start: () =>
      startDaemon('deluged', ['-d', '-c', config, '-u', '127.0.0.1', '-p', String(port), '-i', address], environment),
    answers: () => connects(port),
    end: 'SIGTERM',
    url: web ? `http://:deluge@127.0.0.1:${webPort}` : `deluge://${USER}:${PASSWORD}@${host}`,
    folder,
    downloads,
    address,
    peerPort,
  });
  if (!web) return daemon;
  try {
    website = await startDaemon(
      'deluge-web',
      ['-d', '-c', config, '-i', '127.0.0.1', '-p', String(webPort)],
      environment,
    );
    await waitUntil('deluge-web', () => connects(webPort), { daemon: website });
  } catch (error) {
    await website?.stop();
    await daemon.stop();
    throw error;
  }
  const started = website;
  return {
    ...daemon,
    get pid() {
      return daemon.pid;
    },
    async stop() {
      await started.stop('SIGTERM');
      await daemon.stop();
    },
  };
}

function connects(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(port, '127.0.0.1');
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', () => resolve(false));
  });
}
