/** qBittorrent, for the suites that every client runs. */
import assert from 'node:assert/strict';
import { createClient } from '../../../src/clients/create.ts';
import { connectQbittorrent } from '../../../src/clients/qbittorrent/rpc.ts';
import { startQbittorrent } from '../../harness/qbittorrent.ts';
import { LIBTORRENT_NAMES } from '../libtorrent/names.ts';
import type { Subject } from '../subject.ts';

interface Info {
  readonly category: string;
  readonly tags: string;
}

export async function infoOf(url: string, hash: string): Promise<Info> {
  const [info] = await connectQbittorrent({ url }, {}).request<Info[]>('/torrents/info', 'GET', { hashes: hash });
  assert.ok(info !== undefined);
  return info;
}

export const subject: Subject = {
  name: 'qBittorrent',
  start: startQbittorrent,
  connect: (url, options) => createClient({ client: 'qbittorrent', url }, options),
  connectLabelled: (url, category) => createClient({ client: 'qbittorrent', url, category }),
  labelOf: async (url, infoHash) => (await infoOf(url, infoHash)).category,
  takesV2: true,
  takesWord: 'whole',
  deletesData: true,
  inError: { says: /its log says more/, file: 'a folder' },
  unusualNames: LIBTORRENT_NAMES,
};
