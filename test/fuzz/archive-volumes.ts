/** Archives in memory for fuzz targets: one input holds up to four volumes, each after its length in two bytes. */
import assert from 'node:assert/strict';
import type { Archive, Volumes } from '../../src/container/container.ts';
import { MemoryVolumes } from '../container/memory-volumes.ts';

const MAX_VOLUMES = 4;

export function joinedVolumes(volumes: readonly Buffer[]): Buffer {
  return Buffer.concat(
    volumes.flatMap((volume) => {
      const length = Buffer.alloc(2);
      length.writeUInt16LE(volume.length);
      return [length, volume];
    }),
  );
}

/** Views of the input. The last volume has what is left. */
export function splitVolumes(input: Buffer): Buffer[] {
  const volumes: Buffer[] = [];
  let rest = input;
  while (rest.length >= 2 && volumes.length < MAX_VOLUMES) {
    const end = 2 + rest.readUInt16LE(0);
    volumes.push(rest.subarray(2, end));
    rest = rest.subarray(end);
  }
  return volumes.length > 0 ? volumes : [Buffer.alloc(0)];
}

/** Lists and locates every member. `contentOf` checks that each part lies inside its volume. */
export function checkArchive(open: (volumes: Volumes) => Archive | undefined, parts: readonly Buffer[]): void {
  const volumes = new MemoryVolumes(parts);
  const archive = open(volumes);
  if (archive === undefined) return;
  for (const member of archive.members.slice(0, 200)) {
    // The size of what cannot be used may be unknown.
    if (member.unusable === undefined) assert.ok(Number.isSafeInteger(member.size) && member.size >= 0);
    const content = volumes.contentOf(archive, member);
    if (typeof content !== 'string') assert.equal(content.length, member.size);
  }
}
