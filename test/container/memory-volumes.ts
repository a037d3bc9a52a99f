/** Volumes in memory that count the bytes read from them. */
import assert from 'node:assert/strict';
import type { Archive, Member, Volumes } from '../../src/container/container.ts';

export class MemoryVolumes implements Volumes {
  /** Bytes read, by volume. */
  readonly bytesRead = new Map<number, number>();
  reads = 0;
  readonly #volumes: readonly Buffer[];

  constructor(volumes: readonly Buffer[]) {
    this.#volumes = volumes;
  }

  get count(): number {
    return this.#volumes.length;
  }

  size(volume: number): number {
    return this.#volumes[volume]?.length ?? 0;
  }

  read(volume: number, offset: number, length: number): Buffer {
    const bytes = this.#volumes[volume];
    assert.ok(bytes !== undefined && offset >= 0 && length >= 0 && offset + length <= bytes.length, 'a range inside');
    this.reads++;
    this.bytesRead.set(volume, (this.bytesRead.get(volume) ?? 0) + length);
    return bytes.subarray(offset, offset + length);
  }

  /** Gives a member's bytes as the archive locates them; or the reason why it has none. */
  contentOf(archive: Archive, member: Member): Buffer | string {
    const parts = archive.locate(member);
    if (typeof parts === 'string') return parts;
    for (const { volume, offset, length } of parts) assert.ok(offset + length <= this.size(volume));
    return Buffer.concat(
      parts.map(
        ({ volume, offset, length }) => this.#volumes[volume]?.subarray(offset, offset + length) ?? Buffer.alloc(0),
      ),
    );
  }

  /** Gives every member's bytes by its name, or the reason for none. */
  contents(archive: Archive | undefined): Record<string, Buffer | string> {
    const members = archive?.members ?? [];
    return Object.fromEntries(
      members.map((member) => [member.name.toString(), this.contentOf(archive as Archive, member)]),
    );
  }
}
