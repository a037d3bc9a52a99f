/**
 * Real clients seed while their sources are moved, touched and replaced, the pool is remounted and the server started anew: a
 * fresh client then downloads all of it, and the seeding one downloaded nothing, had no error and is alive.
 */
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, renameSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusJson } from '../../src/cli/json.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { ANNOUNCE } from '../clients/steps.ts';
import { waitUntil } from '../harness/daemon.ts';
import { hashTree } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { bytesReceived, type ClientKind, exchange, type Member, sectionOf, startMember } from '../harness/swarm.ts';
import { PIECE_LENGTH, randomBytesOf } from './films.ts';
import { moveTo, replace } from './happenings.ts';
import { Scene } from './scene.ts';
import { WHOLE } from './setting.ts';

interface Role {
  readonly seeds: ClientKind;
  readonly downloads: ClientKind;
  readonly address: number;
}

const ROLES: readonly Role[] = [
  { seeds: 'transmission', downloads: 'rtorrent', address: 161 },
  { seeds: 'rtorrent', downloads: 'qbittorrent', address: 163 },
  { seeds: 'deluge', downloads: 'qbittorrent', address: 165 },
  { seeds: 'qbittorrent', downloads: 'transmission', address: 167 },
];
/** Kernel and server see a disk that is away for longer. */
const AWAY_MS = 1200;
const LIMIT_MS = 180_000;
const ASK_MS = 200;

const EVENTS: readonly (readonly [what: string, happens: (path: string) => void])[] = [
  ['renamed', (path) => renameSync(path, `${path}.renamed`)],
  ['moved', (path) => moveTo(path, join(dirname(path), 'deep', 'film'))],
  ['its folder renamed', (path) => renameSync(dirname(path), `${dirname(path)} (2004)`)],
  ['touched', (path) => utimesSync(path, 1, 1)],
  ['replaced by an equal copy', (path) => replace(path, readFileSync(path))],
  ['made read-only', (path) => chmodSync(path, 0o444)],
];

describe('clients that seed from sources that change', { skip: NEEDS_ROOT, timeout: 1_200_000 }, () => {
  for (const role of WHOLE ? ROLES : ROLES.slice(0, 1)) {
    it(`${role.seeds} seeds all of it to ${role.downloads}`, async () => {
      const undo: (() => Promise<unknown>)[] = [];
      try {
        await seed(role, undo);
      } finally {
        for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
      }
    });
  }
});

async function seed({ seeds, downloads, address }: Role, undo: (() => Promise<unknown>)[]): Promise<void> {
  const start = async (kind: ClientKind, number: number): Promise<Member> => {
    const member = await startMember(kind, `127.0.0.${number}`);
    undo.push(() => member.daemon.stop());
    undo.push(() => member.client.close());
    return member;
  };
  const seeder = await start(seeds, address);
  const scene = await Scene.make({ kind: 'mergerfs', person: 'root', client: sectionOf(seeder) });
  undo.push(() => scene.end());
  const films = EVENTS.map(([what, happens], i) => {
    const name = `Film ${i}.mkv`;
    const bytes = randomBytesOf(name, 40 * PIECE_LENGTH + 16 * i + 1);
    const path = join(scene.library, what, name);
    scene.write(path, bytes);
    const { raw, infoHash } = makeTorrent({ name, content: bytes, announce: ANNOUNCE });
    return { name, bytes, path, happens, torrent: raw, infoHash };
  });
  const hashes = films.map(({ infoHash }) => infoHash);
  await scene.run('rebuild');
  await scene.mount();
  await scene.add(films);
  await allSeed(seeder, hashes);

  const { pid } = seeder.daemon;
  const stop = new AbortController();
  const errors = errorsOf(seeder, hashes, stop.signal);
  try {
    for (const { path, happens } of films) happens(path);
    await settled(scene);
    await scene.run('release', scene.fileSystem.path);
    await scene.fileSystem.umount();
    await sleep(AWAY_MS);
    await scene.fileSystem.mount();
    await settled(scene);
    await scene.run('unmount');
    await scene.unmount();
    await scene.mount();
    await settled(scene);
    await allSeed(seeder, hashes);

    const fresh = await start(downloads, address + 1);
    const directory = fresh.daemon.downloads;
    await fresh.client.add(films.map(({ torrent }) => ({ metainfo: parseMetainfo(torrent), directory })));
    await fresh.client.start(hashes);
    await exchange(seeder, fresh, hashes, LIMIT_MS);
    const arrived = await hashTree(directory);
    const wanted = await hashTree(scene.autotorrent.storePath);
    for (const { name } of films) assert.equal(arrived.get(name), wanted.get(join(name, name)), name);
    await allSeed(seeder, hashes);
  } finally {
    stop.abort();
  }
  assert.deepEqual(await errors, []);
  for (const { name, infoHash } of films) assert.equal(await bytesReceived(seeder, infoHash), 0, name);
  assert.equal(seeder.daemon.pid, pid);
  process.kill(pid, 0);
}

async function allSeed({ client }: Member, hashes: readonly string[]): Promise<void> {
  let states: unknown;
  try {
    await waitUntil(
      'all seed',
      async () => {
        const listed = await client.list(hashes);
        states = listed;
        return (
          listed.length === hashes.length &&
          listed.every(({ activity, progress }) => activity === 'seeding' && progress === 1)
        );
      },
      { limitMs: LIMIT_MS },
    );
  } catch (cause) {
    throw new Error(`not all seed: ${JSON.stringify(states)}`, { cause });
  }
}

/** Asks the client again and again until it is stopped; gives what it said of errors, once each. */
async function errorsOf({ client }: Member, hashes: readonly string[], signal: AbortSignal): Promise<string[]> {
  const errors = new Set<string>();
  while (!signal.aborted) {
    for (const { name, activity, message } of await client.list(hashes)) {
      if (activity === 'error') errors.add(`${name}: ${message}`);
    }
    await sleep(ASK_MS);
  }
  return [...errors];
}

/** Waits until no source is looked for, and none waits for its disk. */
async function settled(scene: Scene): Promise<void> {
  await waitUntil('the sources are settled', async () => {
    const { sources } = (await scene.autotorrent.json('status')) as StatusJson;
    return sources.healing === 0 && sources.lost === 0 && sources.waiting.length === 0;
  });
}
