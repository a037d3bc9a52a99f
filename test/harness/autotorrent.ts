/** Runs the built program as a user does: commands, and a server in a process of its own. */
import { execFile } from 'node:child_process';
import { chown, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Daemon, startDaemon, waitUntil } from './daemon.ts';
import type { Person } from './person.ts';

const PROGRAM = resolve('dist/src/start.cjs');

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Autotorrent {
  readonly config: string;
  readonly storePath: string;
  readonly statePath: string;
  /** Runs one command line. */
  run(...args: readonly string[]): Promise<Result>;
  /** Runs one command line with `--json`; throws if it failed. */
  json(...args: readonly string[]): Promise<unknown>;
  /** Starts the server and waits until it answers. */
  mount(...args: readonly string[]): Promise<Daemon>;
}

export interface AutotorrentOptions {
  /** The folder for the configuration, the index, the state and the mount point. */
  readonly folder: string;
  readonly disks: readonly string[];
  /** Lines of the [client] section. */
  readonly client?: readonly string[];
  /** The index; default: one in `folder`. */
  readonly db?: string;
  /** Further lines of the [general] section. */
  readonly general?: readonly string[];
  /** Runs the program. Default: this process's user. */
  readonly person?: Person;
}

/** The driver of all servers that tests start by a configuration of this harness. Default: the program chooses. */
const DRIVER = process.env['AUTOTORRENT_TEST_DRIVER'];

export async function autotorrentIn(options: AutotorrentOptions): Promise<Autotorrent> {
  const { folder, disks, client = ['client = none'], db = 'index', general = [], person } = options;
  const config = join(folder, 'autotorrent.conf');
  const lines = [
    '[general]',
    `db = ${db}`,
    'store_path = store',
    'state_path = state',
    ...(DRIVER === undefined ? [] : [`driver = ${DRIVER}`]),
    ...general,
    '[disks]',
    ...disks.map((disk, i) => `disk${i + 1} = ${disk}`),
    '[client]',
    ...client,
    '',
  ];
  // The address of a client has its password.
  await writeFile(config, lines.join('\n'), { mode: 0o600 });
  if (person !== undefined) await chown(config, person.uid, person.gid);
  const [command, ...before] = [...(person?.command ?? []), process.execPath, PROGRAM, '-c', config];
  const run = (...args: readonly string[]): Promise<Result> =>
    new Promise((done) => {
      const child = execFile(
        command,
        [...before, ...args],
        { cwd: folder, maxBuffer: 256 * 1024 * 1024, env: { AUTOTORRENT_INDEX_IDLE_MS: '2000', ...process.env } },
        (_, stdout, stderr) => done({ code: child.exitCode ?? 128, stdout, stderr }),
      );
    });
  return {
    config,
    storePath: join(folder, 'store'),
    statePath: join(folder, 'state'),
    run,
    async json(...args) {
      const { code, stdout, stderr } = await run('--json', ...args);
      if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stdout}${stderr}`);
      return JSON.parse(stdout) as unknown;
    },
    async mount(...args) {
      const daemon = await startDaemon(command, [...before, 'mount', ...args], { cwd: folder });
      // Cheaper than a command that asks it again and again: it says so once it answers.
      await waitUntil('the server', async () => daemon.output().includes('Serving '), { daemon });
      return daemon;
    },
  };
}
