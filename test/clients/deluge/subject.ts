/** Deluge by its daemon, and through its web interface, for the suites that every client runs. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TorrentClient } from '../../../src/clients/client.ts';
import { createClient } from '../../../src/clients/create.ts';
import { connectDaemon } from '../../../src/clients/deluge/daemon.ts';
import { ask } from '../../../src/clients/deluge/rpc.ts';
import type { ClientOptions } from '../../../src/clients/wire/exchange.ts';
import { startDeluge } from '../../harness/deluge.ts';
import { LIBTORRENT_NAMES } from '../libtorrent/names.ts';
import type { Subject } from '../subject.ts';

/** Connects to the daemon or to the web interface, whichever the harness's URL means. */
export function connect(url: string, options?: ClientOptions, label?: string): TorrentClient {
  const { username, password, protocol, host } = new URL(url);
  const labelled = label === undefined ? {} : { label };
  if (protocol !== 'deluge:') return createClient({ client: 'deluge', url, ...labelled }, options);
  return createClient({ client: 'deluge', host, username, password, ...labelled }, options);
}

/** Reads the label from the daemon itself, also where the adapter goes through the web interface. */
async function labelIn(daemonUrl: string, infoHash: string): Promise<string> {
  const { host, username, password } = new URL(daemonUrl);
  const rpc = connectDaemon({ host, username, password }, {});
  try {
    const status = await ask(rpc, 'core.get_torrent_status', infoHash, ['label']);
    return String((status as { label?: unknown }).label);
  } finally {
    await rpc.close();
  }
}

const common = {
  takesV2: true,
  takesWord: 'whole',
  sideBySide: false,
  deletesData: true,
  labelled: (label: string) =>
    label
      .toLowerCase()
      .replaceAll(/[^a-z0-9_.-]+/g, '-')
      .replace(/-$/, ''),
  inError: { says: /^Is a directory$/, file: 'a folder' },
  unusualNames: LIBTORRENT_NAMES,
} as const;

export const subject: Subject = {
  ...common,
  name: 'Deluge',
  start: () => startDeluge(),
  connect,
  connectLabelled: (url, label) => connect(url, {}, label),
  labelOf: labelIn,
};

let daemonBehind = '';
export const webSubject: Subject = {
  ...common,
  name: 'Deluge',
  title: 'Deluge through its web interface',
  // The web interface takes 77 ms for each torrent that is added.
  filler: () => connect(daemonBehind),
  async start() {
    const daemon = await startDeluge({ web: true });
    const config = async (name: string): Promise<string> => await readFile(join(daemon.folder, 'config', name), 'utf8');
    const port = /"daemon_port": ?(\d+)/.exec(await config('core.conf'))?.[1] ?? '';
    const [username = '', password = ''] = (await config('auth')).split(':');
    daemonBehind = `deluge://${username}:${password}@127.0.0.1:${port}`;
    return daemon;
  },
  connect,
  connectLabelled: (url, label) => connect(url, {}, label),
  labelOf: (_, infoHash) => labelIn(daemonBehind, infoHash),
};
