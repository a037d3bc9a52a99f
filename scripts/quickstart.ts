/**
 * `npm run quickstart`: the main job on real components, shown step by step. `npm run quickstart -- --client NAME` shows it
 * with rtorrent, deluge, transmission (the default) or qbittorrent, and asks for what that one needs.
 *
 * Makes a small collection and torrents of the releases in it, indexes and mounts it, adds the torrents to a real client,
 * which seeds them from the mount, has another real client download them all over 127.0.0.1, compares the SHA-1s, shows that
 * the collection did not change, and cleans up, also after a failure or an interruption.
 *
 * Other users of the machine reach none of it but the clients' ports for peers: every folder is 0700, rTorrent listens on a
 * socket in its own, and the others have random passwords.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { parseMetainfo } from '../src/metainfo/parse.ts';
import { type Autotorrent, autotorrentIn } from '../test/harness/autotorrent.ts';
import { waitUntil } from '../test/harness/daemon.ts';
import { type Demo, makeDemo } from '../test/harness/demo.ts';
import { hashTree } from '../test/harness/folder.ts';
import { CLIENT_KINDS, type ClientKind, type Member, sectionOf, startMember } from '../test/harness/swarm.ts';
import { startTracker } from '../test/harness/tracker.ts';

const NAMES = {
  rtorrent: 'rTorrent',
  deluge: 'Deluge',
  transmission: 'Transmission',
  qbittorrent: 'qBittorrent',
} as const;
const DOWNLOAD_LIMIT_MS = 180_000;

/** Steps that undo the set-up, in the order in which it was made. */
const undo: (() => Promise<unknown>)[] = [];

let interrupted = false;

/** Prints a line; after an interruption it prints nothing. */
function say(text: string): void {
  if (!interrupted) process.stdout.write(`${text}\n`);
}

/** Prints what a program printed. */
function sayOutput(text: string): void {
  for (const line of text.trimEnd().split('\n')) say(`   ${line}`);
}

/** A configuration as it may be shown: what is on a terminal may be seen, or end up in a log. */
function withoutSecrets(text: string): string {
  return text.replaceAll(/(:\/\/[^:/@]*):[^@]*@/g, '$1:********@').replaceAll(/^(password = ).*$/gm, '$1********');
}

let step = 0;
function heading(text: string): void {
  step++;
  say(`\n${step}. ${text}\n`);
}

/** Runs a command of ours, and shows it as a user would type it, with its output. */
async function command(autotorrent: Autotorrent, ...args: readonly string[]): Promise<void> {
  if (interrupted) throw new Error('interrupted');
  say(`   $ npx autotorrent ${args.join(' ')}`);
  const { code, stdout, stderr } = await autotorrent.run(...args);
  sayOutput(`${stdout}${stderr}`);
  if (code !== 0) throw new Error(`autotorrent ${args.join(' ')} ended with ${code}`);
}

/** Reads `--client`. */
function chosenKind(): ClientKind {
  const { values } = parseArgs({ options: { client: { type: 'string', default: 'transmission' } } });
  const found = CLIENT_KINDS.find((name) => name === values.client.toLowerCase());
  if (found !== undefined) return found;
  throw new Error(`there is no client ${values.client}: ${CLIENT_KINDS.join(', ')}`);
}

async function main(): Promise<void> {
  const kind = chosenKind();
  // rTorrent seldom connects first, and Transmission connects to no address of this machine: the two cannot be a pair.
  const downloader = kind === 'rtorrent' ? 'qbittorrent' : 'rtorrent';
  execFileSync('sh', ['scripts/setup.sh', 'quickstart', kind, downloader], { stdio: 'inherit' });
  const started = Date.now();
  const folder = await mkdtemp(join(tmpdir(), 'autotorrent-quickstart-'));
  undo.push(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
  const tracker = await startTracker('127.0.0.1');
  undo.push(() => tracker.stop());

  heading('A collection, and three torrents of what is in it under other names and in other folders');
  const demo = await makeDemo(folder, tracker.url);
  const before = await hashTree(demo.collection);
  for (const path of [...before.keys()].toSorted()) say(`   collection/${path}`);
  for (const { torrent } of demo.torrents) say(`   ${relative(folder, torrent)}`);

  heading(`A real ${NAMES[kind]}, and autotorrent.conf`);
  const seeder = await startMember(kind, '127.0.0.2');
  undo.push(() => seeder.daemon.stop());
  undo.push(() => seeder.client.close());
  const autotorrent = await autotorrentIn({
    folder,
    disks: [demo.collection],
    client: [...sectionOf(seeder), kind === 'qbittorrent' ? 'category = quickstart' : 'label = quickstart'],
  });
  const config = withoutSecrets(await readFile(autotorrent.config, 'utf8'));
  for (const line of config.trimEnd().split('\n')) say(`   ${line}`);
  await command(autotorrent, 'test-connection');

  heading('Index the collection, serve the mount, add the torrents');
  await command(autotorrent, 'rebuild');
  say('   $ npx autotorrent mount &');
  const server = await autotorrent.mount();
  undo.push(() => server.stop());
  sayOutput(server.output());
  await command(autotorrent, 'add', demo.folder);
  await waitUntilSeeding(autotorrent, demo, NAMES[kind]);
  // rTorrent asks a tracker once: the tracker must know the seeder by then.
  for (const { infoHash } of demo.torrents) await tracker.seeded(infoHash);
  await command(autotorrent, 'list');
  await command(autotorrent, 'show', demo.torrents[2]?.infoHash.slice(0, 8) ?? '');

  heading(`A real ${NAMES[downloader]} downloads all of it from that ${NAMES[kind]}, over 127.0.0.1`);
  const leecher = await startMember(downloader, '127.0.0.3');
  undo.push(() => leecher.daemon.stop());
  undo.push(() => leecher.client.close());
  await download(leecher, demo);

  heading('What arrived, compared with what was released (SHA-1)');
  const arrived = await hashTree(leecher.daemon.downloads);
  let wrong = 0;
  for (const [path, sha1] of demo.expected) {
    const ok = arrived.get(path) === sha1;
    if (!ok) wrong++;
    say(`   ${ok ? 'same     ' : 'DIFFERENT'} ${sha1.slice(0, 12)}  ${path}`);
  }
  const after = await hashTree(demo.collection);
  const touched =
    [...before].filter(([path, sha1]) => after.get(path) !== sha1).length + Math.abs(after.size - before.size);
  say(
    `\n   ${demo.expected.size - wrong} of ${demo.expected.size} files are the same; ${touched} of ${before.size} files of the collection were changed`,
  );
  await command(autotorrent, 'status');
  if (wrong > 0 || touched > 0) throw new Error('the quickstart found differences');

  heading('Clean up');
  await command(autotorrent, 'unmount');
  say(
    `\nDone in ${Math.round((Date.now() - started) / 1000)} s. Everything was made under ${folder}, which is removed now.`,
  );
}

async function waitUntilSeeding(autotorrent: Autotorrent, demo: Demo, name: string): Promise<void> {
  await waitUntil(
    `${name} checks and seeds`,
    async () => {
      const entries = (await autotorrent.json('list')) as { client_state: string }[];
      return entries.filter((entry) => entry.client_state === 'seeding').length === demo.torrents.length;
    },
    { limitMs: DOWNLOAD_LIMIT_MS },
  );
}

async function download({ kind, client, daemon }: Member, demo: Demo): Promise<void> {
  for (const { raw, infoHash } of demo.torrents) {
    await client.add([{ metainfo: parseMetainfo(raw), directory: daemon.downloads }]);
    await client.start([infoHash]);
    // Transmission refuses a handshake while another one from the same address is going on.
    await sleep(1500);
  }
  const began = Date.now();
  await waitUntil(
    `${NAMES[kind]} downloads everything`,
    async () => {
      const states = await client.list();
      const share = states.reduce((sum, state) => sum + state.progress, 0) / demo.torrents.length;
      if (process.stdout.isTTY && !interrupted) process.stdout.write(`\r   ${(share * 100).toFixed(0)}%`);
      return states.length === demo.torrents.length && states.every((state) => state.activity === 'seeding');
    },
    { limitMs: DOWNLOAD_LIMIT_MS },
  );
  if (process.stdout.isTTY && !interrupted) process.stdout.write('\r');
  say(`   ${(demo.bytes / 1e6).toFixed(1)} MB in ${Math.round((Date.now() - began) / 1000)} s`);
}

let cleaning: Promise<void> | undefined;

function cleanUp(): Promise<void> {
  cleaning ??= undoAll();
  return cleaning;
}

async function undoAll(): Promise<void> {
  for (let last = undo.pop(); last !== undefined; last = undo.pop()) {
    await last().catch((error: unknown) => process.stderr.write(`while cleaning up: ${String(error)}\n`));
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    say('\nInterrupted: the programs are ended, and what was made is removed.');
    interrupted = true;
    void cleanUp().then(() => process.exit(130));
  });
}

try {
  await main();
} catch (error) {
  process.exitCode = 1;
  // The signal also ends the programs: their failures need no report.
  if (!interrupted) process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
} finally {
  await cleanUp();
}
