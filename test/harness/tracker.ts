/**
 * A tracker on loopback for real clients: HTTP alone (BEP 3), with compact answers for clients that ask for them (BEP 23).
 * It tells clients to announce again after 5 seconds, and never returns the asker: clients would connect to themselves.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { waitUntil } from './daemon.ts';
import { type Bencodable, bencoded } from './make-torrent.ts';

export interface Tracker {
  /** Goes into `announce` of a torrent. */
  readonly url: string;
  /**
   * Waits until a seeder of the torrent has announced itself. rTorrent asks once and then not again for ten minutes, whatever
   * the interval: start it after this.
   */
  seeded(infoHash: string): Promise<void>;
  stop(): Promise<void>;
}

interface Peer {
  readonly id: Buffer;
  readonly ip: string;
  readonly port: number;
  readonly seeds: boolean;
}

const INTERVAL_SECONDS = 5;
/** Peers in one answer, for a client that asks for no number. */
const PEERS = 50;

export async function startTracker(address = '127.0.0.1'): Promise<Tracker> {
  /** Swarms by info hash, 40 hex digits; peers by address and port. */
  const swarms = new Map<string, Map<string, Peer>>();
  const server = createServer((request, response) => {
    const answer = announced(swarms, request.url ?? '', request.socket.remoteAddress ?? '');
    // A tracker reports errors in an ordinary answer (BEP 3).
    response.end(bencoded(typeof answer === 'string' ? { 'failure reason': answer } : answer));
  });
  server.listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${address}:${port}/announce`,
    seeded: (infoHash) =>
      waitUntil('a seeder', async () => [...(swarms.get(infoHash)?.values() ?? [])].some(({ seeds }) => seeds), {
        limitMs: 60_000,
      }),
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Notes the asker, and answers with the others; gives a string with the reason if it cannot. */
function announced(
  swarms: Map<string, Map<string, Peer>>,
  url: string,
  ip: string,
): { [key: string]: Bencodable } | string {
  const [path, query = ''] = url.split('?', 2);
  if (path !== '/announce') return 'only announces are answered here';
  const given = parameters(query);
  const infoHash = given.get('info_hash') ?? Buffer.alloc(0);
  const id = given.get('peer_id') ?? Buffer.alloc(0);
  const number = (name: string): number => Number(given.get(name)?.toString() ?? Number.NaN);
  const port = number('port');
  if (infoHash.length !== 20) return 'info_hash is not 20 bytes';
  if (id.length !== 20) return 'peer_id is not 20 bytes';
  if (!(Number.isInteger(port) && port > 0 && port < 65_536)) return 'port is not a port';

  const key = infoHash.toString('hex');
  const swarm = swarms.get(key) ?? new Map<string, Peer>();
  swarms.set(key, swarm);
  const asker = `${ip}:${port}`;
  if (given.get('event')?.toString() === 'stopped') swarm.delete(asker);
  else swarm.set(asker, { id, ip, port, seeds: number('left') === 0 });

  const known = [...swarm.values()];
  const numwant = number('numwant');
  const others = [...swarm].filter(([name]) => name !== asker).map(([, peer]) => peer);
  const peers = others.slice(0, numwant >= 0 ? numwant : PEERS);
  return {
    complete: known.filter(({ seeds }) => seeds).length,
    incomplete: known.filter(({ seeds }) => !seeds).length,
    interval: INTERVAL_SECONDS,
    peers:
      given.get('compact')?.toString() === '1'
        ? Buffer.concat(peers.map(compact))
        : peers.map((peer) => ({ ip: peer.ip, 'peer id': peer.id, port: peer.port })),
  };
}

/** Parses a query's parameters as bytes: an info hash is not UTF-8, so URLSearchParams would lose it. */
function parameters(query: string): Map<string, Buffer> {
  return new Map(
    query.split('&').map((part) => {
      const [name = '', value = ''] = part.split('=', 2);
      const bytes = value.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
      return [name, Buffer.from(bytes, 'latin1')];
    }),
  );
}

/** Encodes a peer: four bytes of address, two of port, both big-endian. */
function compact({ ip, port }: Peer): Buffer {
  return Buffer.from([...ip.split('.').map(Number), port >> 8, port & 255]);
}
