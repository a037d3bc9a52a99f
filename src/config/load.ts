/** Finds and reads the configuration file, and asks the system where its values need that. */

import { type Stats, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { readSmallFile, readSmallFileOrPipe, UnfitFile } from '../bytes/read-file.ts';
import { AutotorrentError, errnoOf, messageOf } from '../errors.ts';
import type { Config } from './config.ts';
import { distrustOf } from './file-trust.ts';
import type { Accounts } from './owner.ts';
import { type IndexLocation, parseConfig } from './parse.ts';

export interface LoadOptions {
  /** `-c FILE`, relative to `cwd`. */
  readonly file?: string | undefined;
  /** `-l NAME`. */
  readonly client?: string | undefined;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends the wait for the writer of a pipe. */
  readonly signal?: AbortSignal;
}

export interface ConfigFile {
  readonly file: string;
  readonly bytes: Buffer;
  /** Warnings about who else may read it, change it, or owns it. */
  readonly notices: readonly string[];
}

const LARGEST_FILE = 1024 * 1024;
const LARGEST_LIST = 16 * 1024 * 1024;

/**
 * Loads the configuration of this call: `-c`, else `AUTOTORRENT_CONFIG`, else `./autotorrent.conf`, else
 * `$XDG_CONFIG_HOME/autotorrent/autotorrent.conf` (`~/.config` if that is not set). A file that was named must exist;
 * the next one is not tried.
 * @throws AutotorrentError('CONFIG') if there is none, or it is invalid; the reason of the signal
 */
export async function loadConfig(options: LoadOptions): Promise<Config> {
  return readAs(await findConfig(options), options);
}

/** Parses a file that was read before; the options may name another client. @throws AutotorrentError('CONFIG') */
export function readAs({ file, bytes }: ConfigFile, options: LoadOptions): Config {
  return parseConfig(bytes, {
    file,
    client: options.client,
    home: resolve(options.cwd, homeOf(options)),
    accounts: localAccounts(),
    indexFor: locateIndex,
  });
}

const homeOf = ({ env }: LoadOptions): string =>
  env['HOME'] === undefined || env['HOME'] === '' ? homedir() : env['HOME'];

/** Finds and reads the file of this call, whatever is in it. @throws AutotorrentError('CONFIG') if there is none, or others may change it */
export async function findConfig(options: LoadOptions): Promise<ConfigFile> {
  const { cwd, env } = options;
  const named: readonly (readonly [string, string | undefined])[] = [
    ['-c', options.file],
    ['AUTOTORRENT_CONFIG', env['AUTOTORRENT_CONFIG'] === '' ? undefined : env['AUTOTORRENT_CONFIG']],
  ];
  for (const [by, name] of named) {
    if (name === undefined) continue;
    const file = resolve(cwd, name);
    const found = await readConfig(file, true, options);
    if (found !== undefined) return found;
    throw new AutotorrentError('CONFIG', `the configuration ${file}, named by ${by}, does not exist`, {
      hint: `autotorrent init ${quoteForShell(file)} writes a commented example there.`,
    });
  }
  // The XDG specification says to ignore relative paths.
  const xdg = env['XDG_CONFIG_HOME'];
  const folder = xdg !== undefined && isAbsolute(xdg) ? xdg : join(resolve(cwd, homeOf(options)), '.config');
  const places = [join(cwd, 'autotorrent.conf'), join(folder, 'autotorrent', 'autotorrent.conf')];
  for (const file of places) {
    const found = await readConfig(file, false, options);
    if (found !== undefined) return found;
  }
  throw new AutotorrentError('CONFIG', `there is no configuration: neither ${places.join(' nor ')} exists`, {
    hint: 'autotorrent init writes a commented example; -c FILE names another file.',
  });
}

/** Reads the file; undefined if it does not exist. */
async function readConfig(file: string, named: boolean, { env, signal }: LoadOptions): Promise<ConfigFile | undefined> {
  let stats: Stats | undefined;
  try {
    const bytes = await readSmallFileOrPipe(file, LARGEST_FILE, signal, (opened) => {
      stats = opened;
    });
    return { file, bytes, notices: stats === undefined ? [] : distrustOf({ file, bytes, stats, named }, env) };
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof AutotorrentError) throw error;
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    const what = error instanceof UnfitFile ? 'is not a configuration' : 'cannot be read';
    throw new AutotorrentError('CONFIG', `the configuration ${file} ${what}: ${messageOf(error)}`, { cause: error });
  }
}

function quoteForShell(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** Reads the system's lists of accounts. */
export function localAccounts(): Accounts {
  return { passwd: readList('/etc/passwd'), group: readList('/etc/group') };
}

function readList(file: string): string {
  try {
    return readSmallFile(file, LARGEST_LIST).toString('latin1');
  } catch {
    return ''; // no such list (a bare container): then no name resolves, and the message says so
  }
}

/**
 * The suffixes of the files that Python's shelve makes for NAME: gdbm NAME itself, ndbm NAME.db or .dir and .pag,
 * dumbdbm the rest.
 */
const SHELVE_SUFFIXES = ['', '.db', '.dat', '.dir', '.bak', '.pag'];

/**
 * Finds the folder of the index: `db`, or `<db>.level` if the original's shelve database has the name. An index that
 * was begun at `<db>.level` stays there when the shelve is deleted later.
 */
function locateIndex(db: string): IndexLocation {
  try {
    if (kindOf(db) === 'folder') return { path: db };
    const shelve = SHELVE_SUFFIXES.map((suffix) => db + suffix).find((path) => kindOf(path) === 'file');
    const beside = `${db}.level`;
    if (shelve !== undefined) return { path: beside, shelve };
    return { path: kindOf(beside) === 'folder' ? beside : db };
  } catch {
    return { path: db }; // not readable for us: opening it reports the reason
  }
}

function kindOf(path: string): 'file' | 'folder' | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  return stats.isDirectory() ? 'folder' : 'file';
}
