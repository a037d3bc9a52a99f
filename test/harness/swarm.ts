/**
 * Two real clients that exchange torrents without a tracker: one of them gets the other's address.
 *
 * Transmission 3.00 makes no outgoing connections to 127.x, and asks a tracker only now and then. The others connect at once
 * to an address that they get, whether they seed or download (not for private torrents). rTorrent does so once in ten minutes
 * for a torrent and a peer: only a restart makes it connect earlier.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TorrentClient, TorrentState } from '../../src/clients/client.ts';
import { createClient } from '../../src/clients/create.ts';
import { connectDaemon } from '../../src/clients/deluge/daemon.ts';
import { ask } from '../../src/clients/deluge/rpc.ts';
import { connectQbittorrent } from '../../src/clients/qbittorrent/rpc.ts';
import { connectRtorrent } from '../../src/clients/rtorrent/rpc.ts';
import { connectTransmission } from '../../src/clients/transmission/rpc.ts';
import type { ClientConfig } from '../../src/config/config.ts';
import type { ClientDaemon } from './client-daemon.ts';
import { type DelugeOptions, startDeluge } from './deluge.ts';
import { type QbittorrentOptions, startQbittorrent } from './qbittorrent.ts';
import { type RtorrentOptions, startRtorrent } from './rtorrent.ts';
import { startTransmission, type TransmissionOptions } from './transmission.ts';

export const CLIENT_KINDS = ['rtorrent', 'deluge', 'transmission', 'qbittorrent'] as const;
export type ClientKind = (typeof CLIENT_KINDS)[number];

export interface Member {
  readonly kind: ClientKind;
  readonly daemon: ClientDaemon;
  readonly client: TorrentClient;
}

/** Further lines of rtorrent.rc or qBittorrent.conf, or keys of settings.json or core.conf: each takes its own. */
export type MemberOptions = Pick<RtorrentOptions, 'rc' | 'scgi' | 'user'> &
  Pick<TransmissionOptions, 'settings'> &
  Pick<QbittorrentOptions, 'conf'> &
  Pick<DelugeOptions, 'core'>;

const START = {
  rtorrent: startRtorrent,
  deluge: startDeluge,
  transmission: startTransmission,
  qbittorrent: startQbittorrent,
} as const;

/** Two members need two addresses. */
export async function startMember(kind: ClientKind, address: string, options: MemberOptions = {}): Promise<Member> {
  const daemon = await START[kind]({ address, ...options });
  return { kind, daemon, client: createClient(configOf(kind, daemon.url)) };
}

function configOf(kind: ClientKind, url: string): Exclude<ClientConfig, { client: 'none' }> {
  return kind === 'deluge' ? { client: kind, ...delugeAt(url) } : { client: kind, url };
}

function delugeAt(url: string): { readonly host: string; readonly username: string; readonly password: string } {
  const { host, username, password } = new URL(url);
  return { host, username, password };
}

/** The section of a configuration for this client. */
export function sectionOf({ kind, daemon }: Pick<Member, 'kind' | 'daemon'>): string[] {
  return Object.entries(configOf(kind, daemon.url)).map(([key, value]) => `${key} = ${value}`);
}

/** The clients that can connect, the best first: an rTorrent does not accept a Deluge that connects to it. */
const CALLERS: readonly ClientKind[] = ['qbittorrent', 'rtorrent', 'deluge', 'transmission'];
const CALL_EVERY_MS = 1000;
const QBITTORRENT_REFRESH_MS = 2000;

/**
 * Waits until `to` has all of these torrents, which both have started. Fails after `limitMs`. When aborted, it leaves the
 * clients alone.
 */
export async function exchange(
  from: Member,
  to: Member,
  infoHashes: readonly string[],
  limitMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const [member, called] = CALLERS.indexOf(from.kind) < CALLERS.indexOf(to.kind) ? [from, to] : [to, from];
  const caller = callerOf(member);
  const peer = { host: called.daemon.address, port: called.daemon.peerPort };
  const end = performance.now() + limitMs;
  let last = Number.NEGATIVE_INFINITY;
  try {
    for (;;) {
      if (signal?.aborted === true) return;
      const states = await to.client.list(infoHashes);
      const open = states.filter(({ activity, progress }) => !(activity === 'seeding' && progress === 1));
      if (states.length === infoHashes.length && open.length === 0) return;
      if (performance.now() > end) throw new Error(`not within ${limitMs} ms: ${open.map(told).join(', ')}`);
      if (performance.now() - last >= CALL_EVERY_MS) {
        // One at a time: Transmission refuses a handshake while another one from the same address is going on.
        const downloading = open.filter(({ activity }) => activity === 'downloading').map((state) => state.infoHash);
        const [alone] = downloading.length === 0 ? [] : await caller.withoutPeers(downloading);
        if (alone !== undefined) {
          await caller.call(alone, peer);
          last = performance.now();
        }
      }
      await sleep(100);
    }
  } finally {
    await caller.close();
  }
}

interface Caller {
  /** Gives those of the torrents for which it is connected to nobody. */
  withoutPeers(infoHashes: readonly string[]): Promise<string[]>;
  call(infoHash: string, peer: { readonly host: string; readonly port: number }): Promise<unknown>;
  close(): Promise<void>;
}

function callerOf({ kind, daemon }: Member): Caller {
  if (kind === 'rtorrent') {
    const rpc = connectRtorrent(daemon.url, {});
    return {
      async withoutPeers(infoHashes) {
        const hashes = infoHashes.map((hash) => hash.toUpperCase());
        const peers = await rpc.perTorrent(hashes, [{ method: 'd.peers_connected' }]);
        return infoHashes.filter((_, i) => String(peers[i]?.[0]) === '0');
      },
      call: (infoHash, { host, port }) => rpc.call('add_peer', [infoHash.toUpperCase(), `${host}:${port}`]),
      close: async () => {},
    };
  }
  if (kind === 'qbittorrent') {
    const rpc = connectQbittorrent(daemon, {});
    return {
      async withoutPeers(infoHashes) {
        const torrents = await rpc.request<Record<string, unknown>[]>('/torrents/info', 'GET', {
          hashes: infoHashes.join('|'),
        });
        const alone = torrents.filter((torrent) => torrent['num_seeds'] === 0 && torrent['num_leechs'] === 0);
        return infoHashes.filter((hash) => alone.some((torrent) => torrent['hash'] === hash));
      },
      call: (infoHash, { host, port }) =>
        rpc.request(
          '/torrents/addPeers',
          'POST',
          undefined,
          new URLSearchParams({ hashes: infoHash, peers: `${host}:${port}` }),
        ),
      close: async () => {},
    };
  }
  if (kind === 'deluge') {
    const rpc = connectDaemon(delugeAt(daemon.url), {});
    return {
      async withoutPeers(infoHashes) {
        const alone: string[] = [];
        for (const hash of infoHashes) {
          const status = await ask(rpc, 'core.get_torrent_status', hash, ['num_peers', 'num_seeds']);
          const { num_peers: peers, num_seeds: seeds } = status as Record<string, unknown>;
          if (peers === 0 && seeds === 0) alone.push(hash);
        }
        return alone;
      },
      call: (infoHash, { host, port }) => ask(rpc, 'core.connect_peer', infoHash, host, port),
      close: () => rpc.close(),
    };
  }
  throw new Error('two Transmissions do not find each other');
}

const told = ({ name, activity, progress, message = '' }: TorrentState): string =>
  `${name}: ${activity}, ${(progress * 100).toFixed(2)}% ${message}`;

/** Counts the payload that the client has received for a torrent since it was added, discarded bytes included. */
export async function bytesReceived({ kind, daemon }: Member, infoHash: string): Promise<number> {
  if (kind === 'rtorrent') {
    return Number(await connectRtorrent(daemon.url, {}).call('d.down.total', [infoHash.toUpperCase()]));
  }
  if (kind === 'qbittorrent') {
    // Its report is up to 1.5 s old.
    await sleep(QBITTORRENT_REFRESH_MS);
    const params = { hash: infoHash };
    const sums = await connectQbittorrent(daemon, {}).request<Record<string, number>>(
      '/torrents/properties',
      'GET',
      params,
    );
    return (sums['total_downloaded'] ?? 0) + (sums['total_wasted'] ?? 0);
  }
  if (kind === 'deluge') {
    const rpc = connectDaemon(delugeAt(daemon.url), {});
    try {
      const status = await ask(rpc, 'core.get_torrent_status', infoHash, ['total_payload_download']);
      return Number((status as Record<string, unknown>)['total_payload_download']);
    } finally {
      await rpc.close();
    }
  }
  const reply = await connectTransmission(daemon, {}).request('torrent-get', {
    fields: ['downloadedEver', 'corruptEver'],
    ids: [infoHash],
  });
  const { torrents } = (reply._data as { arguments: { torrents: Record<string, number>[] } }).arguments;
  return (torrents[0]?.['downloadedEver'] ?? 0) + (torrents[0]?.['corruptEver'] ?? 0);
}
