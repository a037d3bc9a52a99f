import { connectDaemon } from '../../src/clients/deluge/daemon.ts';
import { ask } from '../../src/clients/deluge/rpc.ts';
import { connectQbittorrent } from '../../src/clients/qbittorrent/rpc.ts';
import { connectRtorrent } from '../../src/clients/rtorrent/rpc.ts';
import { connectTransmission } from '../../src/clients/transmission/rpc.ts';
import type { ClientKind } from '../../test/harness/swarm.ts';
import type { ReferenceKind } from '../lib/row.ts';

export const PLAIN_FILES: ReferenceKind = {
  name: 'plain files by hand',
  stands_for: 'The same client, told of the same torrents by one call each, with the files on an ordinary disk.',
};

/** The facts of a torrent that `addByHand` needs. */
export interface ByHand {
  readonly name: string;
  readonly raw: Buffer;
}

/** Adds torrents started, one call each, as a simple script does; the client checks them by itself. */
export async function addByHand(
  kind: ClientKind,
  url: string,
  torrents: readonly ByHand[],
  directory: string,
): Promise<void> {
  const { add, close } = CONNECT[kind](url, directory);
  try {
    for (const torrent of torrents) await add(torrent);
  } finally {
    await close?.();
  }
}

interface Connection {
  readonly add: (torrent: ByHand) => Promise<unknown>;
  readonly close?: () => Promise<void>;
}

const CONNECT: Readonly<Record<ClientKind, (url: string, directory: string) => Connection>> = {
  rtorrent(url, directory) {
    const rpc = connectRtorrent(url, {});
    return { add: ({ raw }) => rpc.call('load.raw_start', ['', raw, `d.directory.set="${directory}"`]) };
  },
  deluge(url, directory) {
    const { host, username, password } = new URL(url);
    const rpc = connectDaemon({ host, username, password }, {});
    return {
      add: ({ name, raw }) =>
        ask(rpc, 'core.add_torrent_file', name, raw.toString('base64'), { download_location: directory }),
      close: () => rpc.close(),
    };
  },
  transmission(url, directory) {
    const rpc = connectTransmission({ url }, {});
    return { add: ({ raw }) => rpc.addTorrent(raw.toString('base64'), { 'download-dir': directory, paused: false }) };
  },
  qbittorrent(url, directory) {
    const rpc = connectQbittorrent({ url }, {});
    return {
      add: ({ name, raw }) => {
        const form = new FormData();
        form.set('torrents', new File([raw], name, { type: 'application/x-bittorrent' }));
        for (const [key, value] of Object.entries({ savepath: directory, autoTMM: 'false', paused: 'false' })) {
          form.set(key, value);
        }
        return rpc.request('/torrents/add', 'POST', undefined, form, undefined, false);
      },
    };
  },
};
