/** The .torrent files that a command line names: found, read and parsed, each failure its own. */
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { readSmallFile, readSmallFileOrPipe, UnfitFile } from '../bytes/read-file.ts';
import { AutotorrentError, errnoOf, explained, messageOf } from '../errors.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { MAX_METAINFO_BYTES, parseMetainfo } from '../metainfo/parse.ts';

export interface TorrentFile {
  /** Absolute. */
  readonly path: string;
  /** The file's name without `.torrent`: what the entry will be called. */
  readonly name: string;
  /** It was found in a folder, and must be a file. What the command line names may be a pipe (`<(…)`). */
  readonly found?: true;
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
    found.push(...paths.map((p) => ({ path: p, name: nameOf(p), ...(isFolder ? { found: true as const } : {}) })));
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

/** Reads and parses a .torrent. Throws the reason of `signal` alone, which ends the wait for a pipe's writer. */
export async function readTorrent(torrent: TorrentFile, signal?: AbortSignal): Promise<ReadTorrent> {
  try {
    const raw =
      torrent.found === true
        ? readSmallFile(torrent.path, MAX_METAINFO_BYTES)
        : await readSmallFileOrPipe(torrent.path, MAX_METAINFO_BYTES, signal);
    return { ...torrent, metainfo: parseMetainfo(raw) };
  } catch (error) {
    signal?.throwIfAborted();
    return { ...torrent, error: error instanceof AutotorrentError ? error : unreadable(error) };
  }
}

function unreadable(error: unknown): AutotorrentError {
  if (error instanceof UnfitFile && error.code === 'TOO_LARGE') {
    const reason = `not a valid torrent: ${error.message}; more than ${MAX_METAINFO_BYTES} is no torrent`;
    return new AutotorrentError('TORRENT', reason, { cause: error });
  }
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    EACCES: 'it may not be read by this user',
  };
  const reason = reasons[errnoOf(error) ?? ''] ?? messageOf(error);
  return new AutotorrentError('TORRENT', `cannot be read: ${reason}`, { cause: error });
}

/** Why a torrent fails, as a sentence. */
export function complaintOf(error: Error): string {
  const message = error instanceof AutotorrentError ? explained(error) : messageOf(error);
  return message.slice(0, 1).toUpperCase() + message.slice(1);
}
