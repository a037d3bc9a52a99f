/**
 * `npm run e2e`: tests each client as the seeder from the mount and as the downloader, with real clients and a real mount, and
 * prints a table. `npm run e2e -- rtorrent deluge` runs the rows of these seeders.
 *
 * A row adds three torrents: one complete, one without its .nfo, and one of which the collection has a longer file under the
 * same name. The seeder completes the second from a client that has everything; a fresh client downloads the first from the
 * mount; seeder and mount are restarted; the fresh client downloads the rest. At the end its files are compared with the
 * released ones, and the collection with its state before.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { EntryJson } from '../../src/cli/json.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { waitUntil } from '../harness/daemon.ts';
import { hashTree } from '../harness/folder.ts';
import { type ClientKind, exchange } from '../harness/swarm.ts';
import { complete, missing, type PartialRelease } from './partial/releases.ts';
import { LIMIT_MS, Scene } from './partial/scene.ts';

const ROWS: readonly (readonly [seeder: ClientKind, downloader: ClientKind])[] = [
  ['rtorrent', 'qbittorrent'],
  ['deluge', 'qbittorrent'],
  ['qbittorrent', 'transmission'],
  ['qbittorrent', 'deluge'],
  ['transmission', 'rtorrent'],
];
/** In the order in which they are tried. */
const STEPS = ['added', 'partial', 'complete', 'restart', 'resized', 'same', 'sources'] as const;
type Step = (typeof STEPS)[number];
const EMPTY = createHash('sha1').digest('hex');
const KiB = 1024;
const MB = 1_000_000;

function releases(): PartialRelease[] {
  const long = randomBytes(3 * MB + 77);
  const common = { pieceLength: 128 * KiB, verify: 'full' } as const;
  return [
    {
      ...common,
      title: 'complete',
      name: 'Whole (2001) ü',
      files: [
        complete('a/one.bin', randomBytes(2 * MB + 11)),
        complete('b/two.bin', randomBytes(MB + 3)),
        complete('empty', Buffer.alloc(0)),
      ],
    },
    {
      ...common,
      title: 'partial',
      name: 'Lacking.2002.720p-DEMO',
      files: [complete('lacking.mkv', randomBytes(4 * MB + 5)), missing('lacking.nfo', randomBytes(3_210))],
    },
    {
      ...common,
      title: 'resized',
      name: 'Longer.2003.mkv',
      files: [{ path: ['Longer.2003.mkv'], data: long, kept: Buffer.concat([randomBytes(4_133), long]) }],
    },
  ];
}

interface Row {
  readonly seeder: ClientKind;
  readonly downloader: ClientKind;
  readonly done: readonly Step[];
  readonly failure: string | undefined;
  readonly seconds: number;
}

async function row(seeder: ClientKind, downloader: ClientKind, address: number): Promise<Row> {
  const began = performance.now();
  const done: Step[] = [];
  let failure: string | undefined;
  let scene: Scene | undefined;
  try {
    scene = await Scene.make({
      onMount: seeder,
      complete: downloader,
      address,
      releases: releases(),
      general: ['scan_mode = normal, hash_name'],
    });
    await play(scene, downloader, address + 2, (step) => done.push(step));
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  } finally {
    await scene?.end();
  }
  return { seeder, downloader, done, failure, seconds: (performance.now() - began) / 1000 };
}

async function play(scene: Scene, downloader: ClientKind, address: number, done: (step: Step) => void): Promise<void> {
  const { mounted, seeder, autotorrent, hashes } = scene;
  const [whole = '', lacking = '', longer = ''] = hashes;
  await scene.add();
  done('added');

  await exchange(seeder, mounted, [lacking], LIMIT_MS);
  await seeder.client.close();
  await seeder.daemon.stop();
  await waitUntil(
    'what was downloaded counts',
    async () => {
      const entries = (await autotorrent.json('list', '--no-client')) as EntryJson[];
      return entries.every((entry) => entry.missing_bytes === 0 && entry.verified_pieces === entry.pieces);
    },
    { limitMs: LIMIT_MS },
  );
  await seeds(scene);
  done('partial');

  const fresh = await scene.member(downloader, address);
  const directory = fresh.daemon.downloads;
  await fresh.client.add(scene.laid.map(({ raw }) => ({ metainfo: parseMetainfo(raw), directory })));
  await fresh.client.start([whole]);
  await exchange(mounted, fresh, [whole], LIMIT_MS);
  done('complete');

  await mounted.daemon.restart('in order');
  await seeds(scene);
  const { code, stderr } = await autotorrent.run('unmount');
  if (code !== 0) throw new Error(stderr);
  await waitUntil('the server has ended', async () => scene.server.exited() !== undefined);
  await scene.mount();
  await seeds(scene);
  done('restart');

  await fresh.client.start([lacking, longer]);
  await exchange(mounted, fresh, [lacking, longer], LIMIT_MS);
  done('resized');

  const [arrived, wanted] = [await hashTree(directory), await hashTree(scene.completeFolder)];
  for (const [path, hash] of wanted) {
    // Transmission makes no empty files.
    if (hash !== EMPTY && arrived.get(path) !== hash) throw new Error(`${path} arrived otherwise`);
  }
  done('same');
  await scene.collectionIsUnchanged();
  done('sources');
}

const seeds = (scene: Scene): Promise<unknown> =>
  scene.all('they seed', ({ activity, progress }) => activity === 'seeding' && progress === 1);

function table(rows: readonly Row[]): string {
  const cells = [
    ['SEEDS', 'DOWNLOADS', ...STEPS.map((step) => step.toUpperCase()), 'SECONDS'],
    ...rows.map(({ seeder, downloader, done, seconds }) => [
      seeder,
      downloader,
      ...STEPS.map((step) => (done.includes(step) ? 'ok' : '-')),
      seconds.toFixed(0),
    ]),
  ];
  const widths = cells[0]?.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0))) ?? [];
  return cells
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const wanted = process.argv.slice(2);
const chosen = ROWS.filter(([seeder]) => wanted.length === 0 || wanted.includes(seeder));
const unknown = wanted.filter((name) => !ROWS.some(([seeder]) => seeder === name));
if (unknown.length > 0) {
  process.stderr.write(
    `no such client: ${unknown.join(', ')}; there are ${ROWS.map(([seeder]) => seeder).join(', ')}\n`,
  );
  process.exitCode = 2;
} else {
  const rows: Row[] = [];
  for (const [i, [seeder, downloader]] of chosen.entries()) {
    process.stderr.write(`${seeder} seeds, ${downloader} downloads …\n`);
    rows.push(await row(seeder, downloader, 71 + 4 * i));
  }
  process.stdout.write(`${table(rows)}\n`);
  for (const { seeder, downloader, failure } of rows) {
    if (failure === undefined) continue;
    process.stdout.write(`${seeder}, ${downloader}: ${failure}\n`);
    process.exitCode = 1;
  }
}
