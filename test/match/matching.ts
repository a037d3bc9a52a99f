/** Runs a match over real files, and checks on each the rules for all matches. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { Level } from 'level';
import { openIndex } from '../../src/collection/level/open-index.ts';
import { rebuild } from '../../src/collection/level/rebuild.ts';
import { hasBit } from '../../src/extent/bitfield.ts';
import { createHashPool } from '../../src/hash/piscina-pool.ts';
import { silentLogger } from '../../src/logger.ts';
import type { HashLimit } from '../../src/match/hash-modes.ts';
import type { MatchMode, TorrentMatch, VerifyGoal } from '../../src/match/match.ts';
import { type MatchDependencies, matchTorrents } from '../../src/match/match-torrents.ts';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { pieceHashes } from '../../src/metainfo/piece-hashes.ts';
import { decodePlan, encodePlan } from '../../src/plan/codec.ts';
import { makePlan } from '../../src/plan/make-plan.ts';
import { ANYWHERE, anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { type Files, writeFiles } from './fixtures.ts';
import { NaiveIndex } from './naive-index.ts';

export interface Setting extends Partial<Pick<MatchDependencies, 'access' | 'signal' | 'onProgress'>> {
  readonly scanModes?: readonly MatchMode[];
  readonly verify?: VerifyGoal;
  readonly sizeVarying?: number;
  readonly hashLimit?: HashLimit;
  /** Matches with the real index, too, and compares. By default nothing is hashed. */
  readonly bothIndices?: boolean;
  /** Runs after the index was built. */
  readonly later?: (disk: string) => void;
}

export const ALL_MODES: readonly MatchMode[] = ['exact', 'unsplitable', 'normal'];

export type Found = TorrentMatch & {
  readonly disk: string;
  /** By file: the first source, below the disk. */
  readonly from: readonly (string | undefined)[];
};

export interface Bench {
  /** An empty folder. */
  readonly disk: () => string;
  /** Matches with the files in `disk`. */
  readonly run: (
    disk: string,
    metainfos: readonly Metainfo[],
    setting?: Setting,
  ) => Promise<{ found: Found[]; calls: string[] }>;
  /** Matches one torrent with `files` on a disk of its own. */
  readonly match: (files: Files, metainfo: Metainfo, setting?: Setting) => Promise<Found>;
}

/** Call it once in a suite. */
export function matchBench(): Bench {
  const base = temporaryFolder('match');
  const pool = createHashPool({ sources: ANYWHERE, threads: 2 });
  after(() => pool.close());
  const disk = (): string => mkdtempSync(join(base, 'disk-'));
  const run: Bench['run'] = async (disk, metainfos, setting = {}) => {
    const {
      scanModes = ['unsplitable', 'normal'],
      verify = 'none',
      later,
      sizeVarying,
      hashLimit,
      ...others
    } = setting;
    const { bothIndices = verify === 'none', ...rest } = others;
    const index = new NaiveIndex(disk);
    const db = bothIndices ? await rebuilt(disk, mkdtempSync(join(base, 'db-'))) : undefined;
    later?.(disk);
    const requests = metainfos.map((metainfo, i) => ({ name: `t${i}`, metainfo }));
    const options = {
      scanModes,
      verify,
      ...(sizeVarying === undefined ? {} : { sizeVarying }),
      ...(hashLimit === undefined ? {} : { hashLimit }),
    };
    const shared = { pool, options, logger: silentLogger, access: anywhere(), ...rest };
    const matches = await matchTorrents(requests, { index, ...shared });
    for (const match of matches) checkInvariants(match);
    if (db !== undefined) {
      const real = await openIndex(db);
      assert.deepEqual(await matchTorrents(requests, { index: real, ...shared }), matches);
      await real.close();
      await db.close();
    }
    const found = matches.map((match): Found => {
      const from = match.files.map(({ extents }) => {
        const source = extents.find((extent) => extent.source >= 0)?.source;
        return source === undefined ? undefined : match.sources[source]?.path.toString().slice(disk.length + 1);
      });
      return Object.assign(match, { disk, from });
    });
    return { found, calls: index.calls };
  };
  const match: Bench['match'] = async (files, metainfo, setting) => {
    const { found } = await run(writeFiles(disk(), files), [metainfo], setting);
    assert.ok(found[0] !== undefined);
    return found[0];
  };
  return { disk, run, match };
}

async function rebuilt(disk: string, folder: string): Promise<Level<Buffer, Buffer>> {
  const db = new Level<Buffer, Buffer>(folder);
  await rebuild(db, { disks: [disk], threads: 1 });
  return db;
}

/** Checks that a match makes a valid plan, and that verified pieces are right when read and hashed in another way. */
function checkInvariants(match: TorrentMatch): void {
  const plan = makePlan(match, 1);
  assert.deepEqual(decodePlan(encodePlan(plan)).files, plan.files);
  const { metainfo } = match;
  for (let piece = 0; piece < metainfo.pieceCount; piece++) {
    if (!hasBit(match.verified, piece)) continue;
    for (const { spans, digest, leaves } of pieceHashes(metainfo, piece)) {
      const bytes = Buffer.concat(
        spans.map(({ file, offset, length }) => readMatched(match, file).subarray(offset, offset + length)),
      );
      const found = leaves === undefined ? createHash('sha1').update(bytes).digest() : naiveRoot(bytes, leaves);
      assert.deepEqual(found, digest, `piece ${piece}`);
    }
  }
}

/** Computes a merkle tree as BEP 52 describes it, level by level. */
function naiveRoot(bytes: Buffer, leaves: number): Buffer {
  const sha256 = (data: Buffer): Buffer => createHash('sha256').update(data).digest();
  let level = Array.from({ length: leaves }, (_, i) => {
    const block = bytes.subarray(i * 16_384, (i + 1) * 16_384);
    return block.length === 0 ? Buffer.alloc(32) : sha256(block);
  });
  while (level.length > 1) {
    level = Array.from({ length: level.length / 2 }, (_, i) =>
      sha256(Buffer.concat([level[2 * i] ?? Buffer.alloc(0), level[2 * i + 1] ?? Buffer.alloc(0)])),
    );
  }
  return level[0] ?? Buffer.alloc(0);
}

/** Gives a file's bytes as the match maps them. */
export function readMatched(match: TorrentMatch, file: number): Buffer {
  const out = Buffer.alloc(match.metainfo.files[file]?.length ?? 0);
  for (const { offset, length, source, sourceOffset } of match.files[file]?.extents ?? []) {
    const path = match.sources[source]?.path;
    if (path === undefined) continue;
    const fd = openSync(path, 'r');
    readSync(fd, out, offset, length, sourceOffset);
    closeSync(fd);
  }
  return out;
}

export const statuses = ({ files }: TorrentMatch): string[] => files.map(({ status }) => status);
export const codes = ({ files }: TorrentMatch): string[] => files.map(({ code }) => code);
export const modes = ({ files }: TorrentMatch): string[] => files.map(({ mode }) => mode);
