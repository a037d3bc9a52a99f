/** Makes the match of a torrent from the final state of its files. */
import { countBits, hasBit } from '../extent/bitfield.ts';
import { type Extent, GAP, ZEROS } from '../extent/extent.ts';
import { coalesce } from '../extent/extent-map.ts';
import type { TorrentFile } from '../metainfo/metainfo.ts';
import { touchedPieces } from '../metainfo/piece-layout.ts';
import type { FileCode } from '../plan/file-code.ts';
import type { PlanSource } from '../plan/plan.ts';
import { sourceOfEdge } from './edges.ts';
import type { Source } from './look.ts';
import { type FileMatch, isHashMode, type Supplier, type TorrentMatch, type VerifyLevel } from './match.ts';
import type { Part } from './parts.ts';
import type { Chosen, FileTask, TorrentTask } from './torrent-task.ts';

export function outcomeOf(
  torrent: TorrentTask,
  verify: VerifyLevel,
  spares: ReadonlyMap<FileTask, Source>,
): TorrentMatch {
  const { metainfo, verified } = torrent;
  const sources = new Sources();
  const files = metainfo.files.map((file): FileMatch => {
    const task = torrent.byIndex[file.index];
    return task === undefined ? withoutSource(file) : outcomeOfFile(task, verify, sources);
  });
  for (const [task, spare] of spares) {
    if (task.torrent === torrent && task.current !== undefined) sources.addSpare(task.current, spare);
  }
  let wantedBytes = 0;
  let missingBytes = 0;
  for (const [i, file] of metainfo.files.entries()) {
    if (file.pad) continue;
    wantedBytes += file.length;
    for (const extent of files[i]?.extents ?? []) if (extent.source === GAP) missingBytes += extent.length;
  }
  const original = missingBytes === 0 ? originalOf(torrent, files, sources) : undefined;
  const verifiedPieces = countBits(verified);
  return {
    name: torrent.name,
    metainfo,
    verify,
    sources: sources.list,
    files,
    verified,
    verifiedPieces,
    wantedBytes,
    missingBytes,
    reason: sentence(torrent, files, verifiedPieces),
    ...(original === undefined ? {} : { original }),
  };
}

/** Finds the exact copy that all bytes were taken from, if there is one. */
function originalOf(
  { exact, files }: TorrentTask,
  matches: readonly FileMatch[],
  sources: Sources,
): Buffer | undefined {
  if (exact.length === 0) return undefined;
  const used = new Set(files.flatMap(({ file }) => matches[file.index]?.extents.map(({ source }) => source) ?? []));
  const paths = [...used].map((source) => sources.list[source]?.path.toString('latin1') ?? '');
  return exact.find((copy) => paths.every((path) => copy.paths.has(path)))?.directory;
}

/** Collects sources in the order of their first use, one for each inode. */
class Sources {
  readonly list: (PlanSource & { readonly spares: number[] })[] = [];
  readonly #byInode = new Map<string, number>();

  indexOf({ path, identity, inode }: Source): number {
    let index = this.#byInode.get(inode);
    if (index === undefined) {
      // No spreads where there may be a million files: each costs ten times as much.
      const { dev, ino, size, mtimeNs, ctimeNs } = identity;
      index = this.list.push({ path, dev, ino, size, mtimeNs, ctimeNs, spares: [] }) - 1;
      this.#byInode.set(inode, index);
    }
    return index;
  }

  addSpare(source: Source, spare: Source): void {
    const spares = this.list[this.indexOf(source)]?.spares;
    const index = this.indexOf(spare);
    if (spares?.includes(index) === false) spares.push(index);
  }
}

function withoutSource(file: TorrentFile): FileMatch {
  if (file.pad) {
    const extents = whole(file.length, ZEROS);
    return { status: 'pad', mode: 'none', code: 'pad', reason: 'A pad file: zeros.', extents, refused: [] };
  }
  if (file.symlink !== undefined) {
    const extents = whole(file.length, GAP);
    return { status: 'mapped', mode: 'none', code: 'symlink', reason: 'A symlink.', extents, refused: [] };
  }
  return { status: 'mapped', mode: 'none', code: 'empty', reason: 'It has no bytes.', extents: [], refused: [] };
}

function outcomeOfFile(task: FileTask, verify: VerifyLevel, sources: Sources): FileMatch {
  const match = decisionOf(task, verify, sources);
  if (match.code === 'unproven' && match.status === 'missing' && task.current !== undefined) {
    task.refuse(task.current.path, 'unproven');
  }
  if (!task.hasRefused) {
    const { status, mode, code, reason, extents } = match;
    return { status, mode, code, reason, extents, refused: NONE_REFUSED };
  }
  const used = match.extents.flatMap(({ source }) => sources.list[source]?.path.toString('latin1') ?? []);
  return { ...match, refused: task.refused(new Set(used)) };
}

const NONE_REFUSED: FileMatch['refused'] = [];

type Decision = Omit<FileMatch, 'refused'>;

function decisionOf(task: FileTask, verify: VerifyLevel, sources: Sources): Decision {
  const { file, current } = task;
  if (current === undefined) {
    const { code, reason } = task.failure ?? { code: 'no-candidate', reason: 'No file has its name and size.' };
    return { status: 'missing', mode: 'none', code, reason, extents: whole(file.length, GAP) };
  }
  const { mode } = current;
  const parts = task.parts ?? (isHashMode(mode) && task.own.count === 0 ? wholePart(task, current) : undefined);
  if (parts !== undefined) return realigned(task, parts, mode, provenExtents(task, parts, sources));
  const found = grounds(task);
  if (found.code === 'believed' && verify !== 'none') return unproven(task, current, whole(file.length, GAP));
  if (task.own.count === 0 && found.code === 'probed' && verify !== 'none' && task.gapPieces === undefined) {
    return unproven(task, current, provenExtents(task, wholePart(task, current), sources));
  }
  const extents = extentsOf(task, current, sources);
  const gaps = extents.filter(({ source }) => source === GAP);
  if (gaps.length > 0) {
    const bytes = gaps.reduce((sum, { length }) => sum + length, 0);
    const status = bytes === file.length ? 'missing' : 'partial';
    const reason = `${bytes} of its ${file.length} bytes are in pieces that failed${status === 'partial' ? ': gaps' : ''}.`;
    return { status, mode: status === 'missing' ? 'none' : mode, code: 'pieces-failed', reason, extents };
  }
  const others = otherPaths(task);
  const moved = [...(task.atPiece?.values() ?? [])].some((one) => isMoved(task, one));
  const reason =
    others === '' ? found.reason : found.reason.replace('agree', `agree, some of them with bytes of ${others}`);
  return { status: moved ? 'resized' : 'mapped', mode, code: found.code, reason, extents };
}

/** Shows the sources of single pieces. */
function otherPaths({ atPiece }: FileTask): string {
  return [...new Set([...(atPiece?.values() ?? [])].map(({ path }) => path.toString()))].join(' and ');
}

function isMoved({ file }: FileTask, { shift, identity }: Pick<Chosen, 'shift' | 'identity'>): boolean {
  return shift !== 0 || identity.size !== file.length;
}

/** Describes a file with a candidate whose bytes, in pieces that nothing could be asked about, are not mapped. */
function unproven({ file }: FileTask, { path, mode }: Chosen, extents: readonly Extent[]): Decision {
  const bytes = extents.reduce((sum, { source, length }) => sum + (source === GAP ? length : 0), 0);
  const why = 'since its pieces hold bytes of files that are missing, too';
  if (bytes < file.length) {
    const reason = `Nothing proves ${bytes} of its ${file.length} bytes in ${path.toString()}, ${why}: gaps.`;
    return { status: 'partial', mode, code: 'unproven', reason, extents };
  }
  const reason = `${path.toString()} has its name and size, but nothing proves its bytes, ${why}.`;
  return { status: 'missing', mode: 'none', code: 'unproven', reason, extents };
}

/** Describes a file that only shared pieces can prove. */
function wholePart({ file }: FileTask, { shift, ...source }: Chosen): Part[] {
  return [{ offset: 0, length: file.length, source, shift }];
}

/** Describes a file that hash modes found: its proven share, and the sources. */
function realigned(task: FileTask, parts: readonly Part[], mode: Supplier, extents: readonly Extent[]): Decision {
  const { file, limited } = task;
  const missing = extents.reduce((sum, { source, length }) => sum + (source === GAP ? length : 0), 0);
  const atPiece = [...(task.atPiece?.values() ?? [])];
  const sources = [...parts.map(({ source }) => source), ...atPiece];
  const paths = shownPaths(sources);
  const limit = limited ? '; hash_limit kept more from being tried' : '';
  if (missing === file.length) {
    const reason = `Nothing of it is proven by whole pieces${limit}.`;
    return { status: 'missing', mode: 'none', code: 'unproven', reason, extents };
  }
  const moved =
    parts.some(({ shift, source }) => isMoved(task, { shift, identity: source.identity })) ||
    atPiece.some((one) => isMoved(task, one));
  if (missing > 0) {
    const reason = `${missing} of its ${file.length} bytes are not in ${paths}: gaps${limit}.`;
    return { status: 'partial', mode, code: 'pieces-failed', reason, extents };
  }
  const found = grounds(task);
  if (found.code !== 'verified') return { status: moved ? 'resized' : 'mapped', mode, ...found, extents };
  const reason = `All its pieces agree with ${paths}${moved ? ', at other places' : ''}.`;
  return { status: moved ? 'resized' : 'mapped', mode, code: 'realigned', reason, extents };
}

/** An archive may have hundreds of volumes. */
function shownPaths(sources: readonly Source[]): string {
  const paths = [...new Set(sources.map(({ path }) => path.toString()))];
  return paths.length <= 3 ? paths.join(', ') : `${paths[0] ?? ''} and ${paths.length - 1} more`;
}

/** Keeps the bytes of verified pieces, and edges (`edges.ts`). All others become gaps, even if the candidate has bytes there. */
function provenExtents(task: FileTask, parts: readonly Part[], sources: Sources): Extent[] {
  const { torrent, file, atPiece } = task;
  const { metainfo, verified } = torrent;
  const touched = touchedPieces(metainfo, file.index);
  const found: Extent[] = [];
  for (let piece = touched.first; piece < touched.first + touched.count; piece++) {
    const from = Math.max(piece * metainfo.pieceLength - file.offset, 0);
    const to = Math.min((piece + 1) * metainfo.pieceLength - file.offset, file.length);
    if (!hasBit(verified, piece)) {
      const edge = sourceOfEdge(task, piece, parts);
      const source = edge === undefined ? GAP : sources.indexOf(edge);
      found.push({ offset: from, length: to - from, source, sourceOffset: edge === undefined ? 0 : from });
      continue;
    }
    const other = atPiece?.get(piece);
    const length = to - from;
    const supplying = other === undefined ? parts : [{ offset: from, length, source: other, shift: other.shift }];
    for (const part of supplying) {
      const begin = Math.max(from, part.offset);
      const length = Math.min(to, part.offset + part.length) - begin;
      if (length <= 0) continue;
      found.push({ offset: begin, length, source: sources.indexOf(part.source), sourceOffset: begin + part.shift });
    }
  }
  return coalesce(found);
}

function grounds(task: FileTask): { code: FileCode; reason: string } {
  const { torrent } = task;
  const touched = touchedPieces(torrent.metainfo, task.file.index);
  let agreed = 0;
  for (let i = 0; i < touched.count; i++) if (hasBit(torrent.verified, touched.first + i)) agreed++;
  if (agreed === touched.count) return { code: 'verified', reason: 'All its pieces agree.' };
  if (agreed > 0) {
    const reason = `${agreed} of its ${touched.count} pieces were hashed and agree; the others are not proven.`;
    return { code: 'probed', reason };
  }
  return { code: 'believed', reason: 'Name and size agree; nothing was hashed.' };
}

function extentsOf(task: FileTask, current: Source, sources: Sources): Extent[] {
  const { file, own, owners, gapPieces, atPiece } = task;
  const split =
    gapPieces !== undefined || atPiece !== undefined || owners?.some((owner) => owner !== owners[0]) === true;
  if (!split) return whole(file.length, sources.indexOf(owners?.[0] ?? current));
  const { metainfo, verified } = task.torrent;
  const touched = touchedPieces(metainfo, file.index);
  const parts: Extent[] = [];
  for (let piece = touched.first; piece < touched.first + touched.count; piece++) {
    const from = Math.max(piece * metainfo.pieceLength - file.offset, 0);
    const to = Math.min((piece + 1) * metainfo.pieceLength - file.offset, file.length);
    // A shared piece that could not be asked about goes with the own piece beside it.
    const at = Math.min(Math.max(piece - own.first, 0), own.count - 1);
    const proven = hasBit(verified, piece) || owners === undefined || owners[at] !== undefined;
    const source = !proven || gapPieces?.has(piece) === true ? undefined : task.sourceOf(piece);
    parts.push({
      offset: from,
      length: to - from,
      source: source === undefined ? GAP : sources.indexOf(source),
      sourceOffset: source === undefined ? 0 : from + source.shift,
    });
  }
  return coalesce(parts);
}

function whole(length: number, source: number): Extent[] {
  return length === 0 ? [] : [{ offset: 0, length, source, sourceOffset: 0 }];
}

function sentence({ metainfo, files }: TorrentTask, matches: readonly FileMatch[], verifiedPieces: number): string {
  const bad = files.filter(({ file }) => {
    const status = matches[file.index]?.status;
    return status === 'missing' || status === 'partial';
  });
  const [first] = bad;
  const pieces = `${verifiedPieces} of ${metainfo.pieceCount} pieces verified`;
  if (first === undefined) return `All files were found; ${pieces}.`;
  const why = matches[first.file.index]?.reason ?? '';
  return `${bad.length} of ${files.length} files are not complete; ${pieces}. The first, ${first.shown}: ${why}`;
}
