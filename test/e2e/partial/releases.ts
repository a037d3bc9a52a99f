/**
 * Torrents of which a collection lacks something, each in its own way: the released files, the files that are kept, and the
 * pieces that a client must download, with the blocks that the overlay then holds.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeTorrent } from '../../harness/make-torrent.ts';

const MB = 1_000_000;
const KiB = 1024;
/** See docs/overlay.md. */
export const BLOCK = 4 * KiB;

/** A released file, and the collection's file of its name and size: the same, with other bytes, or none. */
interface PartialFile {
  readonly path: readonly string[];
  readonly data: Buffer;
  readonly kept: Buffer | undefined;
}

export interface PartialRelease {
  /** Names the missing part. */
  readonly title: string;
  readonly name: string;
  readonly pieceLength: number;
  readonly verify: 'none' | 'probe' | 'full';
  readonly files: readonly PartialFile[];
}

export const complete = (path: string, data: Buffer): PartialFile => ({ path: path.split('/'), data, kept: data });
export const missing = (path: string, data: Buffer): PartialFile => ({ path: path.split('/'), data, kept: undefined });
/** `ranges`: offset and length of the wrong bytes in the kept file. */
function damaged(path: string, data: Buffer, ...ranges: readonly (readonly [number, number])[]): PartialFile {
  const kept = Buffer.from(data);
  for (const [offset, length] of ranges) {
    for (let i = offset; i < offset + length; i++) kept[i]! ^= 0xff;
  }
  return { path: path.split('/'), data, kept };
}

export interface ReleaseOptions {
  /** The size of the large file beside the missing .nfo. */
  readonly neighbourBytes: number;
  /** Name of the missing file in the middle: the client on the mount may have another name for it. */
  readonly missingName: string;
}

export function partialReleases({ neighbourBytes, missingName }: ReleaseOptions): PartialRelease[] {
  // A block of zeros within a download must count as downloaded, although a gap reads as zeros, too.
  const withZeros = randomBytes(3 * MB + 217).fill(0, MB, MB + 100_000);
  const piece = 256 * KiB;
  return [
    {
      title: 'a missing .nfo that shares its piece with two complete files',
      name: 'The.Quiet.Harbour.2021.1080p.BluRay.x264-DEMO',
      pieceLength: 1024 * KiB,
      verify: 'probe',
      files: [
        complete('the.quiet.harbour.mkv', randomBytes(neighbourBytes + 123)),
        missing('the.quiet.harbour.nfo', randomBytes(4_321)),
        complete('the.quiet.harbour.sample.mkv', randomBytes(2 * MB + 1)),
      ],
    },
    {
      title: 'a missing file in the middle, in a folder of its own',
      name: 'Salt and Tin (1998)',
      pieceLength: piece,
      verify: 'full',
      files: [
        complete('01 - Salt.flac', randomBytes(3 * MB + 11)),
        complete('02 - Tin.flac', randomBytes(2 * MB + 12_345)),
        missing(`bonus/${missingName}`, withZeros),
        complete('bonus/empty.log', Buffer.alloc(0)),
        complete('bonus/04 - Tar.flac', randomBytes(2 * MB + 7)),
      ],
    },
    {
      title: 'a damaged range inside a mapped file, in a piece that the probe does not hit',
      name: 'Unprobed.Damage.2020.720p-DEMO.mkv',
      pieceLength: piece,
      verify: 'probe',
      // Of 23 pieces it hashes 0, 6 (5.5, rounded), 11, 17 and 22.
      files: [damaged('Unprobed.Damage.2020.720p-DEMO.mkv', randomBytes(6 * MB), [3 * piece + 50_001, 10_000])],
    },
    {
      title: 'damaged ranges across a piece boundary and in a piece of two files, nothing hashed',
      name: 'Believed Damage (2003)',
      pieceLength: piece,
      verify: 'none',
      files: [
        damaged('a.flac', randomBytes(3 * MB + 5), [3 * piece - 700, 1_400]),
        damaged('b.flac', randomBytes(3 * MB + 3), [0, 10]),
      ],
    },
    {
      title: 'a damaged range that was found when every piece was hashed',
      name: 'Known.Damage.2019.720p-DEMO.mkv',
      pieceLength: piece,
      verify: 'full',
      files: [damaged('Known.Damage.2019.720p-DEMO.mkv', randomBytes(6 * MB), [5 * piece + 100, 20])],
    },
  ];
}

const isSingle = ({ name, files }: PartialRelease): boolean => files.length === 1 && files[0]?.path[0] === name;

/** Path below a client's download folder. */
export function shownPath(release: PartialRelease, file: PartialFile): string {
  return isSingle(release) ? release.name : join(release.name, ...file.path);
}

export const sizeOf = ({ files }: PartialRelease): number => files.reduce((sum, { data }) => sum + data.length, 0);

/** Bytes of each piece, by piece number, for pieces with a byte that the collection lacks or has wrong. */
function lackingPieces({ files, pieceLength }: PartialRelease): Map<number, number> {
  const wanted = Buffer.concat(files.map(({ data }) => data));
  const there = Buffer.concat(files.map(({ data, kept }) => kept ?? Buffer.from(data.map((byte) => byte ^ 0xff))));
  const pieces = new Map<number, number>();
  for (let at = 0; at < wanted.length; at += pieceLength) {
    const piece = wanted.subarray(at, at + pieceLength);
    if (!piece.equals(there.subarray(at, at + pieceLength))) pieces.set(at / pieceLength, piece.length);
  }
  return pieces;
}

/** Counts every block of a gap, and elsewhere those that differ from the kept file. */
function overlayBytes(release: PartialRelease, lacking: ReadonlyMap<number, number>): Map<string, number> {
  const { pieceLength } = release;
  let offset = 0;
  const held = new Map<string, number>();
  for (const { path, data, kept } of release.files) {
    let blocks = 0;
    // A neighbour of a missing file stays mapped: its share of the piece can neither be proven nor blamed.
    const gapsKnown = release.verify === 'full' && kept?.equals(data) === false;
    for (let at = 0; at < data.length; at += BLOCK) {
      const end = Math.min(at + BLOCK, data.length);
      const inGap = kept === undefined || (gapsKnown && touches(lacking, offset + at, offset + end, pieceLength));
      if (inGap || !data.subarray(at, end).equals(kept.subarray(at, end))) blocks++;
    }
    held.set(path.join('/'), blocks * BLOCK);
    offset += data.length;
  }
  return held;
}

function touches(pieces: ReadonlyMap<number, number>, from: number, to: number, pieceLength: number): boolean {
  for (let piece = Math.floor(from / pieceLength); piece * pieceLength < to; piece++)
    if (pieces.has(piece)) return true;
  return false;
}

export interface LaidOut {
  readonly release: PartialRelease;
  readonly torrent: string;
  readonly raw: Buffer;
  readonly infoHash: string;
  /** Bytes that a client must download: whole pieces. */
  readonly bytesLacking: number;
  /** Bytes that the overlay must hold at the end, by the file's path in the torrent. 0: the file stays mapped. */
  readonly overlayBytes: ReadonlyMap<string, number>;
}

/**
 * Writes the collection, the folder of a user who has everything, and the torrents. The kept files lie in folders with other
 * names.
 */
export async function layOut(
  releases: readonly PartialRelease[],
  folders: { readonly collection: string; readonly complete: string; readonly torrents: string },
): Promise<LaidOut[]> {
  await mkdir(folders.torrents, { recursive: true });
  const laid: LaidOut[] = [];
  for (const [i, release] of releases.entries()) {
    for (const file of release.files) {
      await put(join(folders.complete, shownPath(release, file)), file.data);
      if (file.kept === undefined) continue;
      await put(join(folders.collection, `shelf ${i}`, file.path.at(-1) ?? ''), file.kept);
    }
    const { name, pieceLength, files } = release;
    const [first] = files;
    const content = isSingle(release) && first !== undefined ? first.data : files;
    // Not private: see the harness's swarm. Nothing listens on port 9, and some clients want a tracker.
    const { raw, infoHash } = makeTorrent({ name, content, pieceLength, announce: 'http://127.0.0.1:9/announce' });
    const torrent = join(folders.torrents, `${name}.torrent`);
    await writeFile(torrent, raw);
    const lacking = lackingPieces(release);
    laid.push({
      release,
      torrent,
      raw,
      infoHash,
      bytesLacking: [...lacking.values()].reduce((sum, length) => sum + length, 0),
      overlayBytes: overlayBytes(release, lacking),
    });
  }
  return laid;
}

async function put(path: string, bytes: Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
}
