import { crc32 } from '../../../src/container/crc32.ts';
import { openRar } from '../../../src/container/rar.ts';
import { writeRar5 } from '../../container/rar-writer.ts';
import { checkArchive, joinedVolumes, splitVolumes } from '../archive-volumes.ts';
import type { FuzzTarget } from '../target.ts';

const MEMBERS = [
  { name: 'dir', data: Buffer.alloc(0), kind: 'directory' },
  { name: 'dir/a.bin', data: Buffer.alloc(900, 'a') },
  { name: 'ünï', data: Buffer.alloc(50, 'u'), compressed: true },
  { name: 'link', data: Buffer.from('dir/a.bin'), kind: 'symlink' },
  { name: 'secret', data: Buffer.alloc(30, 's'), encrypted: true },
  { name: 'empty', data: Buffer.alloc(0) },
] as const;

export const target: FuzzTarget = {
  seeds: () => [
    joinedVolumes(writeRar5(MEMBERS)),
    joinedVolumes(writeRar5(MEMBERS, { volumeBytes: 600, recoveryBytes: 20 })),
    joinedVolumes(writeRar5([{ name: 'whole', data: Buffer.alloc(2000, 'w') }], { volumeBytes: 900 })),
  ],
  repair(input) {
    for (const volume of splitVolumes(input)) repairBlocks(volume);
  },
  run(input) {
    checkArchive(openRar, splitVolumes(input));
  },
};

/** Makes the checksum of each header right: CRC-32 of its size and what follows. */
function repairBlocks(volume: Buffer): void {
  for (let at = 8; at + 7 <= volume.length; ) {
    const size = vintAt(volume, at + 4);
    const end = Math.min(volume.length, size.end + size.value);
    volume.writeUInt32LE(crc32(volume.subarray(at + 4, end)), at);
    const type = vintAt(volume, size.end);
    const flags = vintAt(volume, type.end);
    const extra = (flags.value & 1) === 0 ? { value: 0, end: flags.end } : vintAt(volume, flags.end);
    const data = (flags.value & 2) === 0 ? 0 : vintAt(volume, extra.end).value;
    at = end + data;
  }
}

function vintAt(bytes: Buffer, from: number): { readonly value: number; readonly end: number } {
  let value = 0;
  for (let at = from; at < from + 8; at++) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 128 ** (at - from);
    if (byte < 0x80) return { value, end: at + 1 };
  }
  return { value, end: from + 8 };
}
