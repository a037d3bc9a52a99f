/** An entry whose files are mapped in every way, and the sources below it. */
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { GAP, ZEROS } from '../../src/extent/extent.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';

const GIB = 2 ** 30;

export class ConformanceEntry {
  /** The folder of the sources. */
  readonly sources: string;
  /** The content of `T/data.bin`. */
  readonly bytes = randomBytes(5_000_011);
  /** The content of `T/mixed.bin`: three extents, unaligned, of two sources, a pad and a gap. */
  readonly mixed = Buffer.concat([
    this.bytes.subarray(17, 1_000_020),
    Buffer.alloc(77),
    this.bytes.subarray(2_000_000, 2_600_001),
    Buffer.alloc(5000),
  ]);
  readonly big = 5 * GIB;
  /** Places of 16 bytes in `T/big.bin` that name their own place. */
  readonly bigPlaces: readonly number[] = [0, GIB, 2 ** 32 - 16, 2 ** 32, this.big - 16];
  readonly deep = Array.from({ length: 20 }, (_, i) => `folder number ${i} ${'x'.repeat(60)}`);

  private constructor(sources: string) {
    this.sources = sources;
  }

  /** Writes the sources below `folder`. */
  static async in(folder: string): Promise<ConformanceEntry> {
    const entry = new ConformanceEntry(join(folder, 'sources'));
    await fs.mkdir(entry.sources);
    await fs.writeFile(join(entry.sources, 'data'), entry.bytes);
    await fs.writeFile(join(entry.sources, 'copy'), entry.bytes);
    await fs.writeFile(join(entry.sources, 'empty'), '');
    await fs.writeFile(entry.#latin, 'Latin-1 name');
    const file = await fs.open(join(entry.sources, 'big'), 'w');
    await file.truncate(entry.big);
    for (const place of entry.bigPlaces) await file.write(Buffer.from(`${place}`.padStart(16, '.')), 0, 16, place);
    await file.close();
    return entry;
  }

  get #latin(): Buffer {
    return Buffer.from(`${this.sources}/latin-\xe9`, 'latin1');
  }

  plan(): Plan {
    const sources = ['data', 'copy', 'big'].map((name) => sourceOf(join(this.sources, name)));
    return planOf(
      'Entry',
      [...sources, sourceOf(this.#latin)],
      [
        fileOf(['T', 'data.bin'], [{ length: this.bytes.length, source: 0, sourceOffset: 0 }]),
        fileOf(
          ['T', 'mixed.bin'],
          [
            { length: 1_000_003, source: 0, sourceOffset: 17 },
            { length: 77, source: ZEROS, sourceOffset: 0 },
            { length: 600_001, source: 1, sourceOffset: 2_000_000 },
            { length: 5000, source: GAP, sourceOffset: 0 },
          ],
        ),
        fileOf(['T', 'big.bin'], [{ length: this.big, source: 2, sourceOffset: 0 }]),
        fileOf(['T', 'empty.bin'], []),
        fileOf(['T', 'run.sh'], [{ length: 12, source: 3, sourceOffset: 0 }], { executable: true }),
        fileOf(['T', ...this.deep, 'leaf'], [{ length: 3, source: 0, sourceOffset: 5 }]),
        fileOf(['T', '日本語 Ελληνικά עברית 🎬 é.mkv'], [{ length: 9, source: 0, sourceOffset: 0 }]),
        fileOf(['T', 'sub', 'link'], [], { symlink: ['data.bin'] }),
        ...Array.from({ length: 10_500 }, (_, i) =>
          fileOf(['T', 'many', `f${i}`], [{ length: i + 1, source: 0, sourceOffset: i }]),
        ),
      ],
    );
  }

  /** Lists names, sizes, times, modes and bytes of the sources: nothing may ever change them. */
  async digest(): Promise<string> {
    const hash = createHash('sha256');
    const names = await fs.readdir(this.sources, { encoding: 'buffer' });
    for (const name of names.toSorted((a, b) => a.compare(b))) {
      const path = Buffer.concat([Buffer.from(`${this.sources}/`), name]);
      const { size, mtimeMs, mode } = await fs.stat(path);
      hash.update(name).update(` ${size} ${mtimeMs} ${mode}\n`);
      if (size < 2 ** 26) hash.update(await fs.readFile(path));
    }
    return hash.digest('hex');
  }
}
