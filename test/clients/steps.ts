/** Steps of tests with a client: make torrents, write their files, add them, wait for their states. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { AddRequest, AddResult, TorrentActivity, TorrentClient, TorrentState } from '../../src/clients/client.ts';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { waitUntil } from '../harness/daemon.ts';
import type { TorrentOptions } from '../harness/make-torrent.ts';
import { torrentFor } from './torrent-for.ts';

/** Nothing listens on port 9. Some clients refuse a torrent without a tracker. */
export const ANNOUNCE = 'http://127.0.0.1:9/announce';

export function sample(options: Omit<TorrentOptions, 'announce'>): Metainfo {
  return torrentFor({ announce: ANNOUNCE, ...options });
}

/** Makes bytes that repeat nowhere within the file, the same ones for the same seed. */
export function bytes(length: number, seed: number): Buffer {
  const data = Buffer.alloc(length);
  let state = seed * 2_654_435_761 + 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data[i] = state >>> 24;
  }
  return data;
}

/** Writes the files of a torrent below `directory`, under `names` where the client uses its own. */
export async function lay(
  directory: string,
  options: TorrentOptions,
  names?: readonly (readonly string[])[],
): Promise<void> {
  const { name, content } = options;
  const files = Buffer.isBuffer(content) ? [{ path: [], data: content }] : content;
  for (const [i, file] of files.entries()) {
    const path = join(directory, ...(names?.[i] ?? [name, ...file.path].map(String)));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, file.data);
  }
}

/** Adds one torrent and gives its result; throws its error where it is `failed`. */
export async function addOne(client: TorrentClient, request: AddRequest): Promise<AddResult> {
  const results = await client.add([request]);
  assert.equal(results.length, 1);
  const [result] = results;
  assert.ok(result);
  if (result.outcome === 'failed') throw result.error;
  return result;
}

export async function stateOf(client: TorrentClient, infoHash: string): Promise<TorrentState> {
  const [state] = await client.list([infoHash]);
  assert.ok(state, 'the client has the torrent');
  return state;
}

export async function reaches(
  client: TorrentClient,
  infoHash: string,
  activity: TorrentActivity,
  limitMs = 60_000,
): Promise<TorrentState> {
  let last: TorrentState | undefined;
  try {
    await waitUntil(
      activity,
      async () => {
        last = await stateOf(client, infoHash);
        return last.activity === activity;
      },
      { limitMs },
    );
  } catch (cause) {
    throw new Error(`wanted ${activity}, is ${JSON.stringify(last)}`, { cause });
  }
  assert.ok(last);
  return last;
}

/** Writes a torrent's files, adds it, starts it, and waits until the client seeds it. */
export async function seeded(client: TorrentClient, directory: string, options: TorrentOptions): Promise<Metainfo> {
  const metainfo = sample(options);
  await lay(directory, options);
  assert.deepEqual(await addOne(client, { metainfo, directory }), { outcome: 'added' });
  await client.start([metainfo.infoHash]);
  await reaches(client, metainfo.infoHash, 'seeding');
  return metainfo;
}
