/** Matches as the command does, with a pool that counts the hashed bytes. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Level } from 'level';
import { openIndex } from '../../src/collection/level/open-index.ts';
import { type HashJob, type HashPool, jobBytes, segmentsOf } from '../../src/hash/hash-pool.ts';
import { createHashPool } from '../../src/hash/piscina-pool.ts';
import { silentLogger } from '../../src/logger.ts';
import type { HashLimit } from '../../src/match/hash-modes.ts';
import type { MatchMode } from '../../src/match/match.ts';
import { matchTorrents } from '../../src/match/match-torrents.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { ANYWHERE, anywhere } from '../../test/harness/anywhere.ts';
import { PROCESSES } from '../references/openssl-speed.ts';
import { endIndexProcess } from './end-index-process.ts';

export interface Counted {
  /** Bytes hashed. */
  readonly bytes: number;
  /** Bytes of the pieces that turned out right. */
  readonly verifiedBytes: number;
  /** The first job for each candidate. */
  readonly probes: readonly HashJob[];
}

/** Matches the torrents of a folder against the index in `folder`. */
export async function countedMatching(
  folder: string,
  torrents: string,
  modes: readonly MatchMode[],
  sizeVarying: number,
  hashLimit: HashLimit,
): Promise<Counted> {
  const inner = createHashPool({ sources: ANYWHERE, threads: PROCESSES });
  const tried = new Map<string, number>();
  const probes: HashJob[] = [];
  let bytes = 0;
  const pool: HashPool = {
    async hash(jobs, options) {
      for (const job of jobs) {
        bytes += jobBytes(job);
        const [segment] = segmentsOf(job);
        if (segment === undefined || 'zeros' in segment) continue;
        const key = segment.path.toString('latin1');
        const left = tried.get(key) ?? 0;
        if (left === 0) continue;
        tried.set(key, left - 1);
        probes.push(job);
      }
      return await inner.hash(jobs, options);
    },
    close: async () => await inner.close(),
  };
  const path = join(folder, 'index');
  // The process that answered the commands before this holds the database.
  await endIndexProcess(path);
  const db = new Level<Buffer, Buffer>(path, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  const index = await openIndex(db);
  try {
    const matches = await matchTorrents(readable(torrents), {
      index,
      pool,
      options: { scanModes: modes, verify: 'probe', sizeVarying, hashLimit },
      logger: silentLogger,
      access: anywhere(),
      // Called once for each candidate of each file.
      hypotheses({ path }) {
        const key = path.toString('latin1');
        tried.set(key, (tried.get(key) ?? 0) + 1);
        return [];
      },
    });
    let verifiedBytes = 0;
    for (const { metainfo, verifiedPieces } of matches) {
      verifiedBytes += Math.min(verifiedPieces * metainfo.pieceLength, metainfo.totalLength);
    }
    return { bytes, verifiedBytes, probes };
  } finally {
    await pool.close();
    await index.close();
    await db.close();
  }
}

/** Reads the torrents of a folder; generated ones may be invalid. */
function readable(torrents: string): { name: string; metainfo: ReturnType<typeof parseMetainfo> }[] {
  return readdirSync(torrents).flatMap((name) => {
    try {
      return [{ name, metainfo: parseMetainfo(readFileSync(join(torrents, name))) }];
    } catch {
      return [];
    }
  });
}
