/**
 * The beginning of a run: an entry whose files are mapped to sources in every way, and the same bytes as plain files. All
 * runs share the sources, since nothing may ever change them.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Extent, GAP, ZEROS } from '../../src/extent/extent.ts';
import type { Plan, PlanSource } from '../../src/plan/plan.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import type { Model } from './model.ts';
import { Random } from './random.ts';

type Part = Omit<Extent, 'offset'>;

const SOURCE_BYTES = 500_000;
/** The mtime in `fileOf`, in milliseconds. */
const MTIME = 1_600_000_000_123;

const mapped = (source: number, sourceOffset: number, length: number): Part => ({ source, sourceOffset, length });
const zeros = (length: number): Part => ({ source: ZEROS, sourceOffset: 0, length });
const gap = (length: number): Part => ({ source: GAP, sourceOffset: 0, length });

/** By path: extents of one piece and of many, of whole pages and across them, with zeros and gaps anywhere. */
const FILES: Readonly<Record<string, readonly Part[]>> = {
  'T/whole': [mapped(0, 0, 200_000)],
  'T/pages': [mapped(1, 4096, 32 * 4096)],
  'T/unaligned': [mapped(0, 17, 50_003), mapped(1, 33_333, 70_001), mapped(0, 123, 1), mapped(2, 9, 40_000)],
  'T/mixed': [
    mapped(2, 17, 60_003),
    zeros(77),
    mapped(1, 200_000, 30_001),
    gap(20_000),
    mapped(0, 5, 15_000),
    zeros(9000),
  ],
  'T/many': Array.from({ length: 300 }, (_, i) => (i % 17 === 3 ? gap(100 + i) : mapped(i % 3, i * 1000 + 7, 200 + i))),
  'T/sub/gap first': [gap(9000), mapped(1, 77_777, 40_000)],
  'T/sub/gap last': [mapped(1, 3, 40_000), gap(12_345)],
  'T/sub/all gap': [gap(100_000)],
  'T/sub/all zeros': [zeros(30_000)],
  'T/sub/small': [mapped(0, 499_990, 10)],
  'T/sub/deep/page': [mapped(2, 1, 4096)],
  'T/sub/deep/empty': [],
  'T/sub/deep/whole too': [mapped(2, 0, 150_001)],
};
const EXECUTABLE = 'T/sub/small';

export class Fixture {
  readonly #sources: readonly PlanSource[];
  readonly #bytes: readonly Buffer[];
  readonly #folder: string;
  readonly #originals = new Map<string, Buffer>();

  private constructor(folder: string, sources: readonly PlanSource[], bytes: readonly Buffer[]) {
    this.#folder = folder;
    this.#sources = sources;
    this.#bytes = bytes;
  }

  static async make(folder: string): Promise<Fixture> {
    await fs.mkdir(folder, { recursive: true });
    const random = new Random(4711);
    const bytes = [0, 1, 2].map(() => random.bytes(SOURCE_BYTES));
    const paths = bytes.map((_, i) => join(folder, `source ${i}`));
    for (const [i, path] of paths.entries()) await fs.writeFile(path, bytes[i]!);
    return new Fixture(
      folder,
      paths.map((path) => sourceOf(path)),
      bytes,
    );
  }

  /** Makes an entry of this name. */
  plan(name: string): Plan {
    const files = Object.entries(FILES).map(([path, parts]) =>
      fileOf(path.split('/'), parts, { executable: path === EXECUTABLE, mtimeMs: MTIME }),
    );
    return planOf(name, this.#sources, files);
  }

  original(path: string): Buffer {
    const parts = FILES[path];
    if (parts === undefined) throw new Error(`the fixture has no ${path}`);
    let bytes = this.#originals.get(path);
    bytes ??= Buffer.concat(
      parts.map(({ source, sourceOffset, length }) =>
        source < 0 ? Buffer.alloc(length) : this.#bytes[source]!.subarray(sourceOffset, sourceOffset + length),
      ),
    );
    this.#originals.set(path, bytes);
    return bytes;
  }

  /** Writes the same files as ordinary ones, with present times. */
  async copyTo(folder: string): Promise<void> {
    await fs.mkdir(folder, { recursive: true, mode: 0o755 });
    for (const path of Object.keys(FILES)) {
      const copy = join(folder, path);
      await fs.mkdir(dirname(copy), { recursive: true, mode: 0o755 });
      await fs.writeFile(copy, this.original(path));
      await fs.chmod(copy, path === EXECUTABLE ? 0o755 : 0o644);
    }
  }

  /** The mtime of all files, in nanoseconds. Node's own utimes cannot set it so exactly. */
  readonly mtime = BigInt(MTIME) * 1_000_000n;
  readonly paths = Object.keys(FILES);

  placeIn(model: Model): void {
    for (const path of Object.keys(FILES)) model.place(path, 'file', this.original(path).length, path);
  }

  /** A hash of all sources: it must never change. */
  async hash(): Promise<string> {
    const hash = createHash('sha256');
    for (const name of (await fs.readdir(this.#folder)).toSorted()) {
      hash.update(name).update(await fs.readFile(join(this.#folder, name)));
    }
    return hash.digest('hex');
  }
}
