/** Torrent clients in an attacker's hands: one for each protocol, all attacked by the same list. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { TorrentClient } from '../../src/clients/client.ts';
import { createClient } from '../../src/clients/create.ts';
import type { ClientOptions } from '../../src/clients/wire/exchange.ts';
import { ownCertificate } from './certificate.ts';
import type { HostileWork } from './hostile-server.ts';

/** What a value is written in. */
export type Encoding = 'json' | 'xml' | 'rencode';

export interface HostileAnswer {
  /** Stands where the client's list of torrents would, or its version. */
  readonly value: Uint8Array;
  /** `whole`: as a client sends it; `trickle`: a byte each 20 ms; `crumbs`: at once, a byte a chunk, without an end. */
  readonly sent?: 'whole' | 'trickle' | 'crumbs';
  /** Further lines of the header, each with its end, where the protocol has one. */
  readonly header?: string;
  /** Milliseconds before the answer. */
  readonly after?: number;
}

export interface HostileServer {
  readonly client: TorrentClient;
  close(): Promise<void>;
}

export interface HostileProtocol {
  readonly name: string;
  readonly encoding: Encoding;
  readonly carriedBy: 'http' | 'scgi' | 'tls';
  start(answer: HostileAnswer, options?: ClientOptions): Promise<HostileServer>;
}

let certificate: HostileWork['certificate'] | undefined;

function protocol(
  name: HostileWork['protocol'],
  encoding: Encoding,
  carriedBy: HostileProtocol['carriedBy'],
  connect: (address: string, options: ClientOptions) => TorrentClient,
): HostileProtocol {
  const start = async (answer: HostileAnswer, options: ClientOptions = {}): Promise<HostileServer> => {
    certificate ??= ownCertificate();
    const work: HostileWork = { protocol: name, answer, certificate };
    const worker = new Worker(new URL('./hostile-server.js', import.meta.url), { workerData: work });
    const [port] = (await once(worker, 'message')) as [number];
    const client = connect(`127.0.0.1:${port}`, options);
    const close = async (): Promise<void> => {
      await client.close();
      await worker.terminate();
    };
    return { client, close };
  };
  return { name, encoding, carriedBy, start };
}

export const HOSTILE_PROTOCOLS: readonly HostileProtocol[] = [
  protocol('transmission', 'json', 'http', (at, options) =>
    createClient({ client: 'transmission', url: `http://${at}/` }, options),
  ),
  protocol('qbittorrent', 'json', 'http', (at, options) =>
    createClient({ client: 'qbittorrent', url: `http://${at}/` }, options),
  ),
  protocol('deluge web', 'json', 'http', (at, options) =>
    createClient({ client: 'deluge', url: `http://${at}/`, password: 'p' }, options),
  ),
  protocol('rtorrent http', 'xml', 'http', (at, options) =>
    createClient({ client: 'rtorrent', url: `http://${at}/` }, options),
  ),
  protocol('rtorrent scgi', 'xml', 'scgi', (at, options) =>
    createClient({ client: 'rtorrent', url: `scgi://${at}` }, options),
  ),
  protocol('deluge daemon', 'rencode', 'tls', (at, options) =>
    createClient({ client: 'deluge', host: at, username: 'u', password: 'p' }, options),
  ),
];
