/**
 * The time from `add` to seeding, in real clients: the command on one side; on the other plain files, added to the same
 * client by one call each. Both sides begin with a client that has just started and knows nothing; everything is in the page
 * cache, the collection is indexed, the mount is served, and our cache of digests is empty. The end is the moment at which
 * the client itself reports each torrent as seeding.
 *
 * Some clients take ten minutes for a thousand small torrents, since they check one a second. The suite leaves such a side
 * after a while, and extrapolates from the torrents that seed by then; `--whole` waits for all of them.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/errors.ts';
import { autotorrentIn } from '../../test/harness/autotorrent.ts';
import { startDaemon } from '../../test/harness/daemon.ts';
import { CLIENT_KINDS, type ClientKind, type Member, sectionOf, startMember } from '../../test/harness/swarm.ts';
import { payload } from '../data/payload.ts';
import { MIB } from '../lib/access.ts';
import { unmountLeftovers } from '../lib/leftover-mounts.ts';
import { interleaved } from '../lib/rounds.ts';
import { compared, type Row, type Target } from '../lib/row.ts';
import { indexed, inFolder } from '../lib/setting.ts';
import { PartialFailure, type Setting, sized, tell } from '../lib/suite.ts';
import { addByHand, type ByHand, PLAIN_FILES } from '../references/plain-files.ts';
import { readThroughSeconds } from '../references/read-through.ts';

interface Case {
  readonly title: string;
  readonly files: number;
  readonly bytes: number;
  readonly pieceLength: number;
  readonly rounds: number;
  readonly target: (kind: ClientKind) => Target | undefined;
}

const ONE_FILE: Case = {
  title: 'one file of 2 GiB',
  files: 1,
  bytes: 2048 * MIB,
  pieceLength: MIB,
  rounds: 3,
  // Transmission takes no word of ours: it reads everything through the mount.
  target: (kind) => (kind === 'transmission' ? undefined : { at_most: 0.8 }),
};
const MANY: Case = {
  title: '1,000 torrents of 130 KB',
  files: 1000,
  bytes: 130_000,
  pieceLength: 16_384,
  rounds: 1,
  target: (kind) => (kind === 'transmission' ? undefined : { at_most: 0.2 }),
};
const untargeted = (): undefined => undefined;
const SIZES: { readonly full: readonly Case[]; readonly small: readonly Case[] } = {
  full: [ONE_FILE, MANY],
  small: [
    { ...ONE_FILE, title: 'one file of 16 MiB', bytes: 16 * MIB, rounds: 1, target: untargeted },
    { ...MANY, title: '5 torrents of 130 KB', files: 5, target: untargeted },
  ],
};

const PROGRAMS: Readonly<Record<ClientKind, string>> = {
  rtorrent: 'rtorrent',
  deluge: 'deluged',
  transmission: 'transmission-daemon',
  qbittorrent: 'qbittorrent-nox',
};
/** The variants of our side: the flags of `add`. The first has the target. */
const WAYS = { default: [], full: ['--verify', 'full'], probe: ['--verify', 'probe'] } as const;
const PROGRAM = resolve('dist/src/main.js');
/** Seconds after which a side is left, and extrapolated. */
const LIMIT_S = 120;
/** The limit with --whole: a side that takes longer hangs. */
const HANGS_S = 3600;
const POLL_MS = 25;
/** A client that lists a thousand torrents does nothing else: it is left alone for this many times as long. */
const LEFT_ALONE = 4;

export async function benchStart(setting: Setting): Promise<Row[]> {
  const rows: Row[] = [];
  const failures: string[] = [];
  for (const one of sized(setting, SIZES)) {
    for (const kind of clients()) {
      try {
        rows.push(...(await clientRows(kind, one, setting)));
      } catch (error) {
        failures.push(`${kind}, ${one.title}: ${messageOf(error)}`);
      }
    }
  }
  if (failures.length > 0) throw new PartialFailure(failures.join('; '), rows);
  return rows;
}

/** The clients that are installed, or that AUTOTORRENT_BENCH_CLIENTS names. */
function clients(): ClientKind[] {
  const wanted = process.env['AUTOTORRENT_BENCH_CLIENTS']?.split(',');
  const unknown = wanted?.filter((name) => !CLIENT_KINDS.some((kind) => kind === name)) ?? [];
  if (unknown.length > 0)
    throw new Error(`no such client: ${unknown.join(', ')}; there are ${CLIENT_KINDS.join(', ')}`);
  return CLIENT_KINDS.filter((kind) => {
    if (wanted !== undefined && !wanted.includes(kind)) return false;
    const installed =
      spawnSync(PROGRAMS[kind], ['--version'], { stdio: 'ignore', timeout: 10_000 }).error === undefined;
    if (!installed) tell(`left out: ${PROGRAMS[kind]} is not installed`);
    return installed;
  });
}

async function clientRows(kind: ClientKind, one: Case, setting: Setting): Promise<Row[]> {
  tell(`${kind}, ${one.title} …`);
  const data = setting.data.get(payload({ ...one, seed: 1 }));
  return await inFolder(async (folder) => {
    const scene = new Scene(kind, data, folder, setting.whole ? HANGS_S : LIMIT_S);
    await scene.index();
    const measured = await interleaved(one.rounds, {
      plain: async () => await scene.byHand(),
      default: async () => await scene.ours('default'),
      full: async () => await scene.ours('full'),
      probe: async () => await scene.ours('probe'),
    });
    return Object.entries(WAYS).map(([way, flags]) =>
      compared({
        name: [one.title, kind, ...(flags.length === 0 ? [] : [flags.join(' ')])].join(', '),
        unit: 's',
        figures: measured[way as keyof typeof WAYS],
        reference: { ...PLAIN_FILES, figures: measured.plain },
        target: way === 'default' ? one.target(kind) : undefined,
        note: scene.extrapolated([way, 'plain']),
      }),
    );
  });
}

/** One client on one case: the parts that the sides share, and whether a figure was extrapolated. */
class Scene {
  readonly #kind: ClientKind;
  readonly #data: string;
  readonly #folder: string;
  readonly #limitS: number;
  readonly #torrents: readonly ByHand[];
  readonly #notes = new Map<string, string>();
  #run = 0;

  constructor(kind: ClientKind, data: string, folder: string, limitS: number) {
    this.#kind = kind;
    this.#data = data;
    this.#folder = folder;
    this.#limitS = limitS;
    const torrents = join(data, 'torrents');
    this.#torrents = readdirSync(torrents).map((name) => ({ name, raw: readFileSync(join(torrents, name)) }));
  }

  /** The index that all runs use. */
  async index(): Promise<void> {
    await indexed(join(this.#folder, 'index'), join(this.#data, 'data'));
  }

  /** Says which figures of these sides were extrapolated, and how; undefined if none were. */
  extrapolated(sides: readonly string[]): string | undefined {
    const notes = sides.flatMap((side) => this.#notes.get(side) ?? []);
    return notes.length === 0 ? undefined : notes.join('; ');
  }

  async byHand(): Promise<number> {
    const disk = join(this.#data, 'data');
    return await this.#withClient(async (member) => {
      const began = performance.now();
      const adding = addByHand(this.#kind, member.daemon.url, this.#torrents, disk);
      return await this.#untilSeeding('plain', member, began, async () => {
        await adding;
      });
    });
  }

  async ours(way: keyof typeof WAYS): Promise<number> {
    const folder = join(this.#folder, `run ${this.#run++}`);
    await mkdir(folder);
    rmSync(join(this.#folder, 'index', 'index.hashes'), { recursive: true, force: true });
    return await this.#withClient(async (member) => {
      const autotorrent = await autotorrentIn({
        folder,
        disks: [join(this.#data, 'data')],
        db: join(this.#folder, 'index', 'index'),
        client: sectionOf(member),
      });
      const server = await autotorrent.mount();
      try {
        const began = performance.now();
        const args = [PROGRAM, '-c', autotorrent.config, 'add', ...WAYS[way], join(this.#data, 'torrents')];
        const add = await startDaemon(process.execPath, args, { cwd: folder });
        try {
          return await this.#untilSeeding(way, member, began, async () => {
            while (add.exited() === undefined) await sleep(POLL_MS);
            if (add.exited()?.endsWith('ended with 0') !== true) throw new Error(`${add.exited()}: ${add.output()}`);
          });
        } finally {
          await add.stop('SIGINT');
        }
      } finally {
        // The client ends first: otherwise the server would stop its torrents one by one.
        await member.daemon.end();
        await server.stop();
        await unmountLeftovers([autotorrent.storePath]);
      }
    });
  }

  async #withClient(measure: (member: Member) => Promise<number>): Promise<number> {
    const files = join(this.#data, 'data');
    await readThroughSeconds(readdirSync(files).map((name) => join(files, name)));
    const member = await startMember(this.#kind, '127.0.0.1');
    try {
      return await measure(member);
    } finally {
      await member.client.close();
      await member.daemon.stop();
    }
  }

  /** Seconds since `began` until the client seeds all; by then `adding` has ended, or fails. */
  async #untilSeeding(side: string, { client }: Member, began: number, adding: () => Promise<void>): Promise<number> {
    const total = this.#torrents.length;
    let failure: unknown;
    const ended = adding().catch((error: unknown) => {
      failure = error;
    });
    const check = (): void => {
      if (failure !== undefined) throw new Error(`the torrents were not added: ${messageOf(failure)}`);
    };
    if (total > 1) {
      // Before all are added not all can seed: no question slows the client down until then.
      const leave = new AbortController();
      await Promise.race([ended, sleep(this.#limitS * 1000, undefined, { signal: leave.signal }).catch(() => {})]);
      leave.abort();
    }
    for (;;) {
      check();
      const asked = performance.now();
      const states = await client.list();
      const seconds = (performance.now() - began) / 1000;
      const seeding = states.filter(({ activity, progress }) => activity === 'seeding' && progress === 1).length;
      if (seeding === total) {
        await ended;
        check();
        return seconds;
      }
      if (seconds > this.#limitS) {
        if (total === 1) throw new Error(`it does not seed after ${seconds.toFixed(0)} s`);
        this.#notes.set(
          side,
          `${side === 'plain' ? PLAIN_FILES.name : `add, ${side}`}: extrapolated, ` +
            `${seeding} of ${total} were seeding after ${seconds.toFixed(0)} s`,
        );
        return (seconds * total) / Math.max(1, seeding);
      }
      await sleep(Math.max(POLL_MS, LEFT_ALONE * (performance.now() - asked)));
    }
  }
}
