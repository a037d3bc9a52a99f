/** Fills stores without matching. */
import { join } from 'node:path';
import { Level } from 'level';
import { GAP } from '../../src/extent/extent.ts';
import { silentLogger } from '../../src/logger.ts';
import type { PlanFile } from '../../src/plan/plan.ts';
import { Store } from '../../src/store/store.ts';
import { fileOf, sourceOf } from '../../test/harness/plans.ts';
import { MIB } from './access.ts';

export interface EntryContents {
  readonly name: string;
  /** Paths. The files' extents name them by index. */
  readonly sources: readonly string[];
  readonly files: Iterable<PlanFile>;
  readonly totalLength: number;
  /** True: every piece counts as hashed and right; false: none does. */
  readonly verified: boolean;
}

export async function fillStore(statePath: string, entries: readonly EntryContents[]): Promise<void> {
  const level = new Level<Buffer, Buffer>(join(statePath, 'store'), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await level.open();
  const store = await Store.open(level, { logger: silentLogger, statePath });
  for (const [i, { name, sources, files, totalLength, verified }] of entries.entries()) {
    const pieceCount = Math.ceil(totalLength / MIB);
    await store.createEntry({
      name,
      sources: sources.map((source) => sourceOf(source)),
      files,
      totalLength,
      missingBytes: 0,
      infoHash: i.toString(16).padStart(40, '0'),
      metainfo: Buffer.from('de'),
      verify: verified ? 'full' : 'none',
      pieceCount,
      pieceLength: MIB,
      verified: verified ? allSet(pieceCount) : Buffer.alloc(Math.ceil(pieceCount / 8)),
    });
  }
  await store.close();
  await level.close();
}

/** Gives a bit for each piece; the spare bits of the last byte are not set. */
function allSet(pieces: number): Buffer {
  const bits = Buffer.alloc(Math.ceil(pieces / 8), 0xff);
  if (pieces % 8 !== 0) bits[bits.length - 1] = (0xff << (8 - (pieces % 8))) & 0xff;
  return bits;
}

/** Makes a file of one extent: a source from an offset on, or a gap. */
export function planFile(path: readonly string[], length: number, source: number, sourceOffset = 0): PlanFile {
  return fileOf(path, [{ length, source, sourceOffset }], source === GAP ? { status: 'missing', mode: 'none' } : {});
}
