/** Finds the gaps of entries that a file would fill: its bytes are proven by pieces, as far as these can be hashed. */
import { normaliseName } from '../../collection/names.ts';
import type { Config } from '../../config/config.ts';
import { shiftsOfFile } from '../../container/payload-files.ts';
import type { HashPool, HashProgress } from '../../hash/hash-pool.ts';
import type { Logger } from '../../logger.ts';
import type { FileMatch } from '../../match/match.ts';
import { matchTorrents } from '../../match/match-torrents.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import { parseMetainfo } from '../../metainfo/parse.ts';
import type { SourceAccess } from '../../source/source-access.ts';
import type { Gap, KnownEntries, KnownEntry } from './known-entries.ts';
import { indexOfOneFile } from './one-file-index.ts';

/** A file of an entry that lacks bytes which a file of the collection has. */
export interface Fit {
  readonly entry: string;
  readonly infoHash: string;
  readonly file: string;
  /** Missing bytes that it has; 0: its size and name are right, but no piece can prove its bytes. */
  readonly bytes: number;
}

/** An entry that lacks bytes, and has a file that the candidate may be. */
export interface Lacking {
  readonly name: string;
  readonly infoHash: string;
  readonly metainfo: Metainfo;
  /** Of each file, in the torrent's order. */
  readonly gaps: readonly (readonly Gap[])[];
}

/** Finds the entries that a file may fill, by its size and its name. */
export async function lackingThatMayFit(
  entries: KnownEntries,
  listed: readonly KnownEntry[],
  { path, size, sizeVarying }: { readonly path: Buffer; readonly size: number; readonly sizeVarying: number },
): Promise<Lacking[]> {
  const found: Lacking[] = [];
  for (const { name, infoHash, lacks } of listed) {
    if (!lacks) continue;
    const metainfo = parseMetainfo(await entries.metainfo(infoHash));
    if (!mayFit(metainfo, path, size, sizeVarying)) continue;
    const gaps: (readonly Gap[])[] = [];
    for await (const some of entries.gaps(infoHash)) gaps.push(some);
    found.push({ name, infoHash, metainfo, gaps });
  }
  return found;
}

export interface FitsRequest {
  readonly path: Buffer;
  readonly size: number;
  readonly lacking: readonly Lacking[];
  readonly access: SourceAccess;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onHashing: (progress: HashProgress) => void;
}

/** @throws the errors of the hash pool */
export async function fitsOf(config: Config, request: FitsRequest): Promise<Fit[]> {
  const { path, size, lacking, access, logger, signal, onHashing } = request;
  const index = indexOfOneFile(path, size);
  const found: Fit[] = [];
  let pool: HashPool | undefined;
  try {
    for (const { name, infoHash, metainfo, gaps } of lacking) {
      signal.throwIfAborted();
      const { createHashPool } = await import('../../hash/piscina-pool.ts');
      pool ??= createHashPool({ sources: access.rules, readersPerDisk: config.hashReaders });
      const [match] = await matchTorrents([{ name, metainfo, spares: false }], {
        index,
        pool,
        options: {
          scanModes: ['normal', 'hash_name', 'hash_size'],
          verify: 'probe',
          sizeVarying: config.hashSizeVarying,
          hashLimit: config.hashLimit,
        },
        logger,
        access,
        signal,
        hypotheses: (source, wanted) => shiftsOfFile({ path, size: source.identity.size }, wanted, access),
        onProgress: onHashing,
      });
      for (const [i, file] of (match?.files ?? []).entries()) {
        const missing = gaps[i] ?? [];
        const bytes = overlap(file, missing);
        if (bytes === 0 && !(file.code === 'unproven' && missing.length > 0)) continue;
        found.push({ entry: name, infoHash, file: metainfo.files[i]?.path.join('/') ?? '', bytes });
      }
    }
  } finally {
    await pool?.close();
  }
  return found;
}

/** Few entries lack a file of this size or name. */
function mayFit({ files }: Metainfo, path: Buffer, size: number, varying: number): boolean {
  const name = normaliseName(path.subarray(path.lastIndexOf(0x2f) + 1));
  return files.some(({ length, path: below, pad }) => {
    if (pad || length === 0) return false;
    if (length === size) return true;
    return Math.abs(length - size) <= (length * varying) / 100 && normaliseName(below.at(-1) ?? '') === name;
  });
}

/** Bytes of gaps that a match maps. */
function overlap({ extents }: FileMatch, gaps: readonly Gap[]): number {
  let bytes = 0;
  for (const { offset, length, source } of extents) {
    if (source < 0) continue;
    for (const gap of gaps) {
      bytes += Math.max(0, Math.min(offset + length, gap.offset + gap.length) - Math.max(offset, gap.offset));
    }
  }
  return bytes;
}
