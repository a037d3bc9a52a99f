/**
 * `autotorrent overlay export`: a finished, plain copy of an entry elsewhere.
 *
 * It reads through the mount, not the sources and overlay files that `show` names. The server merges writes of a moment ago
 * that are in no record yet, checks each source before it serves it, uses a spare copy if one fails, and answers EIO instead
 * of a wrong byte. A separate reader would have to do all of that again, on files that change under it. The cost is FUSE's,
 * which for large reads is small beside two disks.
 */
import type { Config } from '../../config/config.ts';
import type { ControlClient } from '../../control/client.ts';
import type { ServedEntry, ServedFile } from '../../control/served.ts';
import { AutotorrentError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { shortName } from '../../metainfo/long-names.ts';
import { openCLibrary } from '../../native/c-library.ts';
import { type FileCalls, loadFileCalls } from '../../native/files.ts';
import { mustHave } from '../overlay-changes.ts';
import { bytes } from '../quantities.ts';
import { requireServer } from '../server-connection.ts';
import { ofDestination } from './destination-error.ts';
import { ExportDestination } from './export-destination.ts';
import { MountView } from './mount-view.ts';
import { type Place, shownPlace } from './place.ts';
import { copyFile, LARGE_BYTES } from './resumable-copy.ts';
import { findTarget, openTarget } from './target-file.ts';

export interface ExportProgress {
  /** Bytes in the copy, including those of an earlier run. */
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Bytes that this run copied. */
  readonly copiedBytes: number;
}

export interface ExportRequest {
  /** Absolute. */
  readonly destination: string;
  /** Writes zeros in place of missing bytes. */
  readonly force: boolean;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly onProgress: (progress: ExportProgress) => void;
}

export interface ExportedEntry {
  readonly name: string;
  readonly infoHash: string;
  readonly destination: string;
  readonly files: number;
  readonly bytes: number;
  /** Bytes that this run copied: an earlier run left the rest. */
  readonly copiedBytes: number;
  /** Zeros in place of missing bytes. */
  readonly zeroBytes: number;
  readonly incomplete: readonly { readonly path: string; readonly missingBytes: number }[];
  /** Files with names that no disk takes, and their paths in the copy. */
  readonly shortened: readonly { readonly path: string; readonly copy: string }[];
}

interface Item {
  /** In the torrent. */
  readonly path: readonly string[];
  /** In the copy: the same, with shorter names for those that no disk takes. */
  readonly to: readonly string[];
  readonly length: number;
  readonly missing: number;
  /** Its path in the mount, below the entry's folder; undefined for a deleted file. */
  readonly at: string | undefined;
}

/** Attempts at a file that somebody writes to during the copy. */
const TRIES = 3;
/** Small files that are copied at once: they mostly cost system calls. */
const AT_ONCE = 8;
const SHOWN = 3;

/** Exports. @throws AutotorrentError('EXPORT'), ('CONFLICT') if the destination exists, ('MOUNT'), ('NOT_FOUND') */
export async function exportEntry(config: Config, id: string, request: ExportRequest): Promise<ExportedEntry> {
  const server = await requireServer(config);
  const entry = await mustHave(server, id);
  if (entry.kind === 'external') {
    throw new AutotorrentError('UNSUPPORTED', `${entry.name} is seeded from its original folder: ${entry.directory}`, {
      hint: 'It is a plain folder: copy it.',
    });
  }
  const items = await itemsOf(server, entry);
  const incomplete = items.filter(({ missing, at }) => missing > 0 || at === undefined);
  const missing = sum(incomplete.map((item) => item.missing));
  if (incomplete.length > 0 && !request.force) throw incompleteError(entry, incomplete, missing);
  const { mountPoint } = await server.status();
  const total = sum(items.map(({ length }) => length));
  const view = await MountView.open(mountPoint, entry.directory);
  try {
    const destination = await ExportDestination.open(request.destination, entry.infoHash, total - missing);
    const exporting = new Exporting(view, destination, total, request, loadFileCalls(openCLibrary(request.logger)));
    try {
      await exporting.run(items);
    } finally {
      await destination.close();
    }
    return {
      name: entry.name,
      infoHash: entry.infoHash,
      destination: request.destination,
      files: items.length,
      bytes: total,
      copiedBytes: exporting.copiedBytes,
      zeroBytes: missing,
      incomplete: incomplete.map((item) => ({ path: item.path.join('/'), missingBytes: item.missing })),
      shortened: items
        .map(({ path, to }) => ({ path: path.join('/'), copy: to.join('/') }))
        .filter(({ path, copy }) => path !== copy),
    };
  } catch (error) {
    throw await view.explainedError(error, `${request.destination}.partial`);
  } finally {
    await view.close();
  }
}

async function itemsOf(server: ControlClient, entry: ServedEntry): Promise<Item[]> {
  // Without extents: those of 200,000 files are many.
  const files: (Pick<ServedFile, 'path' | 'length' | 'state'> & { readonly missing: number })[] = [];
  for await (const file of server.files(entry.infoHash)) {
    const { path, length, state } = file;
    if (file.status !== 'pad') files.push({ path, length, state, missing: missingOf(file) });
  }
  const moved = new Map<string, string>();
  if (files.some(({ state }) => state === 'moved')) {
    for await (const { path, named } of server.differences(entry.infoHash)) {
      const [name] = named;
      if (name !== undefined) moved.set(path, name);
    }
  }
  return files.map(({ path, length, state, missing }) => ({
    path: path.split('/'),
    to: path.split('/').map(shortName),
    length,
    missing,
    at: state === 'deleted' ? undefined : (moved.get(path) ?? path),
  }));
}

/** Gives the folders of the copy that have other names in the mount, with those. */
function foldersInMount(items: readonly Item[]): ReadonlyMap<string, readonly string[]> {
  const folders = new Map<string, readonly string[]>();
  for (const { path, to } of items) {
    const first = to.findIndex((name, depth) => name !== path[depth]);
    if (first < 0) continue;
    for (let depth = first + 1; depth < to.length; depth++)
      folders.set(to.slice(0, depth).join('/'), path.slice(0, depth));
  }
  return folders;
}

/** Counts the bytes of a torrent's file that nothing supplies. */
function missingOf({ extents, length }: ServedFile): number {
  let there = 0;
  for (const { kind, offset, length: extent } of extents) {
    if (kind !== 'gap') there += Math.max(0, Math.min(offset + extent, length) - offset);
  }
  return length - there;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function incompleteError(entry: ServedEntry, incomplete: readonly Item[], missing: number): AutotorrentError {
  const names = incomplete.slice(0, SHOWN).map(({ path }) => JSON.stringify(path.join('/')));
  const rest = incomplete.length - names.length;
  const files = `${names.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  if (missing === 0) {
    return new AutotorrentError('EXPORT', `a client has deleted ${files} of ${entry.name}`, {
      hint: 'autotorrent overlay discard brings files back; --force exports empty ones in their place.',
    });
  }
  return new AutotorrentError('EXPORT', `${bytes(missing)} of ${entry.name} are missing, in ${files}`, {
    hint: 'Let a client download them first; --force exports zeros in their place.',
  });
}

class Exporting {
  readonly #view: MountView;
  readonly #destination: ExportDestination;
  readonly #total: number;
  readonly #request: ExportRequest;
  readonly #libc: FileCalls;
  readonly #small: (readonly string[])[] = [];
  #done = 0;
  copiedBytes = 0;

  constructor(view: MountView, destination: ExportDestination, total: number, request: ExportRequest, libc: FileCalls) {
    this.#view = view;
    this.#destination = destination;
    this.#total = total;
    this.#request = request;
    this.#libc = libc;
  }

  async run(items: readonly Item[]): Promise<void> {
    const links: Item[] = [];
    const folders = foldersInMount(items);
    for (let at = 0; at < items.length; ) {
      this.#request.signal.throwIfAborted();
      const group = items.slice(at, at + AT_ONCE);
      const large = group.findIndex(({ length }) => length >= LARGE_BYTES);
      const together = large < 0 ? group : group.slice(0, Math.max(1, large));
      const results = await Promise.allSettled(together.map(async (item) => await this.#export(item)));
      for (const [i, result] of results.entries()) {
        if (result.status === 'rejected') throw result.reason;
        const item = together[i];
        if (result.value === 'symlink' && item !== undefined) links.push(item);
      }
      at += together.length;
    }
    // Symlinks come last: nothing is ever written through one.
    for (const { to, at } of links) {
      const target = await this.#view.readlink(at ?? '');
      await this.#destination.link(to, target.split('/').map(shortName).join('/'));
    }
    await this.#destination.finish(
      this.#small,
      async (folder) => await this.#view.folder(folders.get(folder.join('/')) ?? folder),
    );
  }

  async #export(item: Item): Promise<'file' | 'symlink'> {
    return await this.#destination.within(item.to, async (to) => await this.#exportTo(to, item));
  }

  async #exportTo(to: Place, { path, to: copy, at, length }: Item): Promise<'file' | 'symlink'> {
    if (at === undefined) {
      await ofDestination(shownPlace(to), async () => await writeZeros(to, length));
      this.#count(length, true);
      return 'file';
    }
    const { signal } = this.#request;
    const { umask } = this.#destination;
    const onBytes = (count: number, fresh: boolean): void => this.#count(count, fresh);
    return await this.#view.within(at, async (from) => {
      const kind = await this.#view.kind(from, at);
      if (kind === 'symlink') return kind;
      if (length < LARGE_BYTES) this.#small.push(copy);
      for (let tries = 0; tries < TRIES; tries++) {
        const outcome = await copyFile({ from, to, length, umask, libc: this.#libc, signal, onBytes });
        if (outcome !== 'changed') return kind;
      }
      throw new AutotorrentError('CONFLICT', `${JSON.stringify(path.join('/'))} is being written to`, {
        hint: 'Stop the torrent in its client, then run the same command again: it goes on where it was.',
      });
    });
  }

  #count(count: number, fresh: boolean): void {
    this.#done += count;
    if (fresh) this.copiedBytes += count;
    this.#request.onProgress({ doneBytes: this.#done, totalBytes: this.#total, copiedBytes: this.copiedBytes });
  }
}

/** Makes a file of zeros. Throws the errors of the disk. */
async function writeZeros(place: Place, length: number): Promise<void> {
  const file = await openTarget(place, await findTarget(place));
  try {
    await file.truncate(0);
    await file.truncate(length);
    await file.sync();
  } finally {
    await file.close();
  }
}
