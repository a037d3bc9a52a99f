/** Makes plans over real files, as matching does. */
import { createHash } from 'node:crypto';
import { lstatSync } from 'node:fs';
import { type Extent, GAP } from '../../src/extent/extent.ts';
import type { Plan, PlanFile, PlanSource } from '../../src/plan/plan.ts';
import { type FileIdentity, identityOf } from '../../src/source/identity.ts';
import type { LookedAtSource } from '../../src/source/looked-at.ts';

/** The identity of what is at a path now. */
export function identityAt(path: string | Buffer): FileIdentity {
  return identityOf(lstatSync(path, { bigint: true }));
}

/** A source as it is now, which everyone may read. */
export function sourceOf(path: string | Buffer, spares: readonly number[] = []): LookedAtSource {
  return { path: Buffer.from(path), ...identityAt(path), spares, readers: 'everyone' };
}

export function fileOf(
  path: readonly string[],
  extents: readonly Omit<Extent, 'offset'>[],
  more: Partial<PlanFile> = {},
): PlanFile {
  let offset = 0;
  const placed = extents.map((extent) => {
    const at = { ...extent, offset };
    offset += extent.length;
    return at;
  });
  return {
    path,
    length: offset,
    extents: placed,
    status: 'mapped',
    mode: 'normal',
    code: 'believed',
    mtimeMs: 1_600_000_000_123,
    executable: false,
    ...more,
  };
}

export function planOf(name: string, sources: readonly PlanSource[], files: readonly PlanFile[]): Plan {
  const totalLength = files.reduce((sum, file) => sum + file.length, 0);
  const missingBytes = files
    .flatMap((file) => file.extents)
    .reduce((sum, extent) => sum + (extent.source === GAP ? extent.length : 0), 0);
  return {
    name,
    sources,
    files,
    totalLength,
    missingBytes,
    verify: 'none',
    infoHash: createHash('sha1').update(name).digest('hex'),
    metainfo: Buffer.from(`metainfo of ${name}`),
    pieceCount: 10,
    pieceLength: 16384,
    verified: Buffer.from([0xff, 0x80]),
  };
}
