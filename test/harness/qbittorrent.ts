/** A real qbittorrent-nox on a loopback address, with a password, in a temporary folder of its own. */
import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomPassword, withAccount } from './account.ts';
import { type ClientDaemon, clientDaemon } from './client-daemon.ts';
import { freePort, startDaemon } from './daemon.ts';
import { temporaryFolder } from './folder.ts';
import type { User } from './other-user.ts';

export interface QbittorrentOptions {
  /** The address on which it listens for peers. Two clients in one swarm need two addresses. Default: 127.0.0.1. */
  readonly address?: string;
  /** Whom it runs as. Default: this process's user. */
  readonly user?: User;
  /** Further lines of its configuration, by section. */
  readonly conf?: Readonly<Record<string, readonly string[]>>;
}

export async function startQbittorrent(options: QbittorrentOptions = {}): Promise<ClientDaemon> {
  const { address = '127.0.0.1', conf = {} } = options;
  const folder = temporaryFolder('qbittorrent');
  const downloads = join(folder, 'downloads');
  const configuration = join(folder, 'qBittorrent', 'config');
  await mkdir(downloads, { mode: 0o700 });
  await mkdir(configuration, { recursive: true, mode: 0o700 });
  const account = { username: 'admin', password: randomPassword() };
  const peerPort = await freePort(address);
  const webPort = await freePort('127.0.0.1');
  const sections: Record<string, readonly string[]> = {
    LegalNotice: ['Accepted=true'],
    BitTorrent: [
      `Session\\Port=${peerPort}`,
      'Session\\Interface=lo',
      `Session\\InterfaceAddress=${address}`,
      'Session\\DHTEnabled=false',
      'Session\\LSDEnabled=false',
      'Session\\PeXEnabled=false',
      'Session\\MultiConnectionsPerIp=true',
      'Session\\QueueingSystemEnabled=false',
      // Our Transmission speaks no other encryption.
      'Session\\BTProtocol=TCP',
      `Session\\DefaultSavePath=${downloads}`,
      ...(conf['BitTorrent'] ?? []),
    ],
    Network: ['PortForwardingEnabled=false', ...(conf['Network'] ?? [])],
    Preferences: [
      'WebUI\\Address=127.0.0.1',
      `WebUI\\Port=${webPort}`,
      'WebUI\\UseUPnP=false',
      'WebUI\\LocalHostAuth=true',
      `WebUI\\Username=${account.username}`,
      `WebUI\\Password_PBKDF2="@ByteArray(${hashed(account.password)})"`,
      ...(conf['Preferences'] ?? []),
    ],
  };
  await writeFile(
    join(configuration, 'qBittorrent.conf'),
    Object.entries(sections)
      .map(([name, lines]) => `[${name}]\n${lines.join('\n')}\n`)
      .join('\n'),
    { mode: 0o600 },
  );
  const url = `http://127.0.0.1:${webPort}`;
  return clientDaemon({
    what: 'qBittorrent',
    user: options.user,
    start: (before) => {
      const [command, ...args] = [...before, 'qbittorrent-nox', `--profile=${folder}`];
      return startDaemon(command, args, { cwd: folder });
    },
    answers: async () => (await fetch(`${url}/api/v2/app/version`)).status > 0,
    end: 'SIGTERM',
    url: withAccount(url, account),
    folder,
    downloads,
    address,
    peerPort,
  });
}

/** As qBittorrent 4.5 keeps a password: salt and PBKDF2 (Password::PBKDF2 of its source), both in base64. */
function hashed(password: string): string {
  const salt = randomBytes(16);
  return `${salt.toString('base64')}:${pbkdf2Sync(password, salt, 100_000, 64, 'sha512').toString('base64')}`;
}
