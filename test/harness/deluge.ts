/** A real deluged, and a real deluge-web if wanted, on loopback addresses, in a temporary folder of their own. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { randomPassword } from './account.ts';
import { type ClientDaemon, clientDaemon } from './client-daemon.ts';
import { type Daemon, freePort, startDaemon, waitUntil } from './daemon.ts';
import { temporaryFolder } from './folder.ts';
import type { User } from './other-user.ts';

export interface DelugeOptions {
  /** The address on which it listens for peers. Two clients in one swarm need two addresses. Default: 127.0.0.1. */
  readonly address?: string;
  /** True: also runs its web interface; `url` then leads there, with its password. */
  readonly web?: boolean;
  /** Whom it runs as. Default: this process's user. */
  readonly user?: User;
  /** Further keys of core.conf. */
  readonly core?: Readonly<Record<string, unknown>>;
}

const USER = 'me';

/** `url` is `deluge://me:password@host:port` for the daemon, `http://:password@host:port` for the web interface. */
export async function startDeluge(options: DelugeOptions = {}): Promise<ClientDaemon> {
  const { address = '127.0.0.1', web = false, core = {} } = options;
  const folder = temporaryFolder('deluge');
  const config = join(folder, 'config');
  const downloads = join(folder, 'downloads');
  await mkdir(downloads, { mode: 0o700 });
  await mkdir(config, { mode: 0o700 });
  const [password, webPassword] = [randomPassword(), randomPassword()];
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
  const write = async (name: string, text: string): Promise<void> =>
    await writeFile(join(config, name), text, { mode: 0o600 });
  await write('core.conf', `{"file": 1, "format": 1}${JSON.stringify(settings)}`);
  await write('auth', `${USER}:${password}:10\nlocalclient:${password}:10\n`);
  const host = `127.0.0.1:${port}`;
  await write(
    'hostlist.conf',
    `{"file": 3, "format": 1}${JSON.stringify({ hosts: [['abc', '127.0.0.1', port, USER, password]] })}`,
  );
  // deluge-web 2.0.3: the digest of salt and password (auth.py).
  const salt = randomPassword();
  const digest = createHash('sha1').update(salt).update(webPassword).digest('hex');
  await write(
    'web.conf',
    `{"file": 2, "format": 1}${JSON.stringify({ pwd_salt: salt, pwd_sha1: digest, first_login: false })}`,
  );
  let website: Daemon | undefined;
  const environment = { cwd: folder };
  const daemon = await clientDaemon({
    what: 'Deluge',
    user: options.user,
    start: (before) => {
      const [command, ...args] = [
        ...before,
        'deluged',
        '-d',
        '-c',
        config,
        '-u',
        '127.0.0.1',
        '-p',
        String(port),
        '-i',
        address,
      ];
      return startDaemon(command, args, environment);
    },
    answers: () => connects(port),
    end: 'SIGTERM',
    url: web ? `http://:${webPassword}@127.0.0.1:${webPort}` : `deluge://${USER}:${password}@${host}`,
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
