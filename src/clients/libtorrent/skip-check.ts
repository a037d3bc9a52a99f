/** For which torrents libtorrent can be spared its check: Deluge's `seed_mode`, qBittorrent's `skip_checking`. */
import { isUtf8 } from 'node:buffer';
import { hasBit } from '../../extent/bitfield.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import type { AddRequest } from '../client.ts';

/** libtorrent cuts longer names; in bytes. */
const MAX_NAME_BYTES = 240;

/** Whether the torrent may be added without a check: every piece of it is verified, and its names stay. */
export function maySkipCheck({ metainfo, resume }: AddRequest): boolean {
  if (resume === undefined || resume.files.some(({ state }) => state !== 'known')) return false;
  for (let piece = 0; piece < metainfo.pieceCount; piece++) {
    if (!hasBit(resume.verified, piece) || hasBit(resume.gaps, piece)) return false;
  }
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

/** libtorrent takes names that differ in the case of a to z alone for one, and renames the second, but for pads. */
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

/** False for every name that libtorrent changes, and for some that it does not. */
function keepsName(name: string, raw: Buffer | undefined): boolean {
  return !/[\p{C}\\]/u.test(name) && Buffer.byteLength(name) <= MAX_NAME_BYTES && raw !== undefined && isUtf8(raw);
}
