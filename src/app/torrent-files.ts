/** Finds, reads and parses the .torrent files of a command line; each failure is that file's own. */
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { readSmallFile, readSmallFileOrPipe, UnfitFile } from '../bytes/read-file.ts';
import { AutotorrentError, errnoOf, explained, messageOf } from '../errors.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { MAX_METAINFO_BYTES, parseMetainfo } from '../metainfo/parse.ts';
import { expectedWeight, prepareForWeight, type Room, refuseTooHeavy, roomForTorrents } from './weight.ts';

export interface TorrentFile {
  /** Absolute. */
  readonly path: string;
  /** The file's name without `.torrent`: the wanted name of the entry. */
  readonly name: string;
  /** True: found in a folder, and must be a regular file. A path of the command line may be a pipe (`<(…)`). */
  readonly found?: true;
}

/** A valid .torrent. */
export interface ParsedTorrent extends TorrentFile {
  readonly metainfo: Metainfo;
}

export type ReadTorrent = (ParsedTorrent & { readonly error?: undefined }) | UnreadTorrent;

interface UnreadTorrent extends TorrentFile {
  readonly error: AutotorrentError;
}

/**
 * Lists the absolute paths of the .torrent files named by `args`, in order: a folder means all .torrent files in it, by name.
 * A missing path stays in the list: reading it reports it. Relative to `cwd`.
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

/** A .torrent's bytes, or the reason for none. */
export interface LoadedTorrent {
  readonly torrent: TorrentFile;
  readonly raw: Buffer | AutotorrentError;
  /** What it weighs at most once it is parsed (`weight.ts`). */
  readonly weight: number;
}

/** Reads a .torrent, and checks that it fits into `room`. Throws only the reason of `signal`, which ends the wait for a pipe's writer. */
export async function loadTorrent(
  torrent: TorrentFile,
  signal?: AbortSignal,
  room: Room = roomForTorrents(),
): Promise<LoadedTorrent> {
  try {
    const raw =
      torrent.found === true
        ? readSmallFile(torrent.path, MAX_METAINFO_BYTES)
        : await readSmallFileOrPipe(torrent.path, MAX_METAINFO_BYTES, signal);
    const weight = expectedWeight(raw);
    refuseTooHeavy(weight, room);
    prepareForWeight(weight, room);
    return { torrent, raw, weight };
  } catch (error) {
    signal?.throwIfAborted();
    return { torrent, raw: error instanceof AutotorrentError ? error : unreadable(error), weight: 0 };
  }
}

export function parseTorrent({ torrent, raw }: LoadedTorrent): ReadTorrent {
  if (raw instanceof AutotorrentError) return { ...torrent, error: raw };
  try {
    return { ...torrent, metainfo: parseMetainfo(raw) };
  } catch (error) {
    return { ...torrent, error: error instanceof AutotorrentError ? error : unreadable(error) };
  }
}

/** Reads and parses a .torrent; before it takes memory, it waits for `room` for its weight. */
export async function readTorrent(
  torrent: TorrentFile,
  signal?: AbortSignal,
  room: (weight: number) => Promise<void> = async () => {},
): Promise<ReadTorrent> {
  const loaded = await loadTorrent(torrent, signal);
  await room(loaded.weight);
  return parseTorrent(loaded);
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

/** Says in a sentence why a torrent fails. */
export function complaintOf(error: Error): string {
  const message = error instanceof AutotorrentError ? explained(error) : messageOf(error);
  return message.slice(0, 1).toUpperCase() + message.slice(1);
}
