/** The .torrent files that a command line names: found, read and parsed, each failure its own. */
import { readFileSync, statSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { AutotorrentError, errnoOf, explained, messageOf } from '../errors.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { MAX_METAINFO_BYTES, parseMetainfo } from '../metainfo/parse.ts';

export interface TorrentFile {
  /** Absolute. */
  readonly path: string;
  /** The file's name without `.torrent`: what the entry will be called. */
  readonly name: string;
}

/** A .torrent that is valid. */
export interface ParsedTorrent extends TorrentFile {
  readonly metainfo: Metainfo;
}

export type ReadTorrent = (ParsedTorrent & { readonly error?: undefined }) | UnreadTorrent;

interface UnreadTorrent extends TorrentFile {
  readonly error: AutotorrentError;
}

/**
 * Absolute paths of the .torrent files named by `args`, in their order: a folder means all .torrent files in it, by
 * name. A path that is not there stays in the list: reading it says so. Relative to `cwd`.
 */
export async function findTorrents(args: readonly string[], cwd: string): Promise<TorrentFile[]> {
  const found: TorrentFile[] = [];
  for (const arg of args) {
    const path = resolve(cwd, arg);
    const isFolder = await stat(path).then(
      (s) => s.isDirectory(),
      () => false,
    );
    const paths = isFolder ? await torrentsIn(path) : [path];
    found.push(...paths.map((p) => ({ path: p, name: nameOf(p) })));
  }
  return found;
}

async function torrentsIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory() && extname(entry.name).toLowerCase() === '.torrent')
    .map((entry) => join(folder, entry.name))
    .toSorted();
}

function nameOf(path: string): string {
  const name = basename(path);
  return extname(name).toLowerCase() === '.torrent' ? name.slice(0, -'.torrent'.length) || name : name;
}

export async function readTorrent(torrent: TorrentFile): Promise<ReadTorrent> {
  try {
    const stats = statSync(torrent.path);
    const { size } = stats;
    if (size > MAX_METAINFO_BYTES) {
      throw new AutotorrentError(
        'TORRENT',
        `not a valid torrent: it is ${size} bytes long; more than ${MAX_METAINFO_BYTES} is no torrent`,
      );
    }
    // Promises take several times as long as reading a file itself; a pipe may keep its reader waiting for ever.
    const raw = stats.isFile() ? readFileSync(torrent.path) : await readFile(torrent.path);
    return { ...torrent, metainfo: parseMetainfo(raw) };
  } catch (error) {
    return { ...torrent, error: error instanceof AutotorrentError ? error : unreadable(error) };
  }
}

function unreadable(error: unknown): AutotorrentError {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    EACCES: 'it may not be read by this user',
    EISDIR: 'it is a folder',
  };
  const reason = reasons[errnoOf(error) ?? ''] ?? messageOf(error);
  return new AutotorrentError('TORRENT', `cannot be read: ${reason}`, { cause: error });
}

/** Why a torrent fails, as a sentence. */
export function complaintOf(error: Error): string {
  const message = error instanceof AutotorrentError ? explained(error) : messageOf(error);
  return message.slice(0, 1).toUpperCase() + message.slice(1);
}
