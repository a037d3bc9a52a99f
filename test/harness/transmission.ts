/** A real transmission-daemon on a loopback address, with a password, in a temporary folder of its own. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Account, randomPassword, withAccount } from './account.ts';
import { type ClientDaemon, clientDaemon } from './client-daemon.ts';
import { freePort, startDaemon } from './daemon.ts';
import { temporaryFolder } from './folder.ts';
import type { User } from './other-user.ts';

export interface TransmissionOptions {
  /** The address on which it listens for peers. Two clients in one swarm need two addresses. Default: 127.0.0.1. */
  readonly address?: string;
  /** Default: one with a random password. */
  readonly account?: Account;
  /** A command that runs the one after it in an environment of its own. */
  readonly within?: readonly string[];
  /** Whom it runs as. Default: this process's user. */
  readonly user?: User;
  /** Further keys of settings.json. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export async function startTransmission(options: TransmissionOptions = {}): Promise<ClientDaemon> {
  const { address = '127.0.0.1', settings = {}, within = [] } = options;
  const account = options.account ?? { username: 'me', password: randomPassword() };
  const folder = temporaryFolder('transmission');
  const downloads = join(folder, 'downloads');
  await mkdir(downloads, { mode: 0o700 });
  const peerPort = await freePort(address);
  const rpcPort = await freePort('127.0.0.1');
  await writeFile(
    join(folder, 'settings.json'),
    JSON.stringify({
      'bind-address-ipv4': address,
      'bind-address-ipv6': '::1',
      'dht-enabled': false,
      'download-dir': downloads,
      'incomplete-dir-enabled': false,
      'lpd-enabled': false,
      'peer-port': peerPort,
      'peer-port-random-on-start': false,
      'pex-enabled': false,
      'port-forwarding-enabled': false,
      'rpc-authentication-required': true,
      'rpc-bind-address': '127.0.0.1',
      'rpc-password': account.password,
      'rpc-port': rpcPort,
      'rpc-username': account.username,
      'rpc-whitelist': '127.0.0.1',
      'rpc-whitelist-enabled': true,
      'utp-enabled': false,
      ...settings,
    }),
    { mode: 0o600 },
  );
  const url = `http://127.0.0.1:${rpcPort}/transmission/rpc`;
  return clientDaemon({
    what: 'Transmission',
    user: options.user,
    start: (before) => {
      const [command, ...args] = [...before, ...within, 'transmission-daemon', '-f', '-g', folder];
      return startDaemon(command, args, { cwd: folder });
    },
    answers: async () => (await fetch(url)).status > 0,
    end: 'SIGTERM',
    url: withAccount(url, account),
    folder,
    downloads,
    address,
    peerPort,
  });
}
