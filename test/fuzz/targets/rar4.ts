import { crc32 } from '../../../src/container/crc32.ts';
import { openRar } from '../../../src/container/rar.ts';
import { writeRar4 } from '../../container/rar-writer.ts';
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
    joinedVolumes(writeRar4(MEMBERS)),
    joinedVolumes(writeRar4(MEMBERS, { volumeBytes: 600, recoveryBytes: 20 })),
    joinedVolumes(writeRar4([{ name: 'whole', data: Buffer.alloc(2000, 'w') }], { volumeBytes: 900 })),
  ],
  repair(input) {
    for (const volume of splitVolumes(input)) repairBlocks(volume);
  },
  run(input) {
    checkArchive(openRar, splitVolumes(input));
  },
};

/** Makes the checksum of each header right: the low half of CRC-32, of all that follows it in the header. */
function repairBlocks(volume: Buffer): void {
  for (let at = 7; at + 11 <= volume.length; ) {
    const size = volume.readUInt16LE(at + 5);
    const end = Math.min(volume.length, at + size);
    if (size < 7) return;
    volume.writeUInt16LE(crc32(volume.subarray(at + 2, end)) & 0xffff, at);
    const flags = volume.readUInt16LE(at + 3);
    at = end + ((flags & 0x8000) === 0 ? 0 : volume.readUInt32LE(at + 7));
  }
}
