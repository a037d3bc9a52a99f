/** What Deluge and qBittorrent have in common, which both are made of libtorrent. */
import { isUtf8 } from 'node:buffer';
import { hasBit } from '../../extent/bitfield.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import type { NamedFile } from '../adding/names.ts';
import type { AddRequest } from '../client.ts';

/** What they name a torrent by: the v1 info hash, or, of hybrid and v2 torrents, the v2 one cut to 40 digits. */
export function torrentId({ infoHash, infoHashV2 }: Pick<Metainfo, 'infoHash' | 'infoHashV2'>): string {
  return infoHashV2?.slice(0, 40) ?? infoHash;
}

/**
 * `told` as a list of all files of the torrent: libtorrent's clients leave the torrent's pads out, or add pads of their own
 * in v2 torrents. Pads that are left out have the torrent's own names.
 */
export function withPads(metainfo: Metainfo, told: readonly NamedFile[]): readonly NamedFile[] {
  if (told.length === metainfo.files.length) return told;
  const files = told.filter(({ path }) => path.at(-2) !== '.pad');
  let next = 0;
  const all = metainfo.files.flatMap(({ pad, path, length }): NamedFile[] => {
    if (pad) return [{ path: [metainfo.name, ...path], length }];
    const file = files[next++];
    return file === undefined ? [] : [file];
  });
  return next === files.length ? all : told;
}

/** Longer names it cuts; in bytes. */
const MAX_NAME_BYTES = 240;

/** Whether the torrent may be added without a check: every piece of it is verified, and its names stay. */
export function maySkipCheck({ metainfo, resume }: AddRequest): boolean {
  if (resume === undefined || resume.files.some(({ state }) => state !== 'known')) return false;
  for (let piece = 0; piece < metainfo.pieceCount; piece++) if (!hasBit(resume.verified, piece)) return false;
  return keepsNames(metainfo);
}

/**
 * Whether libtorrent looks for every file under the torrent's own name for it. Where it renames one, the mount shows the
 * new name only after libtorrent has looked for it; without a check libtorrent may report the miss much later.
 */
export function keepsNames(metainfo: Metainfo): boolean {
  return (
    keepsName(metainfo.name, metainfo.rawName) &&
    metainfo.files.every(({ path, rawPath }) => path.every((name, i) => keepsName(name, rawPath[i]))) &&
    !hasTwins(metainfo)
  );
}

/** It tells no names apart that differ in the case of a to z alone, and renames the second; pads are none of them. */
function hasTwins({ files }: Metainfo): boolean {
  const folders = new Set<string>();
  const names = new Set<string>();
  for (const { path, pad } of files) {
    if (pad) continue;
    let name = '';
    for (const [i, component] of path.entries()) {
      name += `/${component.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())}`;
      if (i < path.length - 1) folders.add(name);
    }
    if (names.has(name)) return true;
    names.add(name);
  }
  return [...names].some((name) => folders.has(name));
}

/** False for all that it changes, and for some that it does not. */
function keepsName(name: string, raw: Buffer | undefined): boolean {
  return !/[\p{C}\\]/u.test(name) && Buffer.byteLength(name) <= MAX_NAME_BYTES && raw !== undefined && isUtf8(raw);
}
