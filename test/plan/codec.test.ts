import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { AutotorrentError } from '../../src/errors.ts';
import { type Extent, GAP, ZEROS } from '../../src/extent/extent.ts';
import { decodePlan, encodePlan, PlanReader } from '../../src/plan/codec.ts';
import type { Plan, PlanFile, PlanSource } from '../../src/plan/plan.ts';

const component = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 20 })
  .filter((s) => s !== '.' && s !== '..' && !/[/\0]/.test(s) && Buffer.from(s).toString() === s);
const mtime = fc.double({ noNaN: true, noDefaultInfinity: true });
/** Nanoseconds: some file systems reach beyond 64 bits of them. */
const time = fc.bigInt({ min: -(2n ** 62n), max: 2n ** 66n });
const big = fc.integer({ min: 1, max: 2 ** 50 });

const source = (count: number): fc.Arbitrary<PlanSource> =>
  fc.record(
    {
      path: fc.uint8Array({ maxLength: 40 }).map((a) => Buffer.from([0x2f, ...a.filter((b) => b !== 0)])),
      dev: fc.nat(),
      ino: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      size: fc.constant(2 ** 52),
      mtimeNs: time,
      ctimeNs: fc.option(time, { nil: undefined }),
      spares: fc.array(fc.nat({ max: Math.max(0, count - 1) }), { maxLength: 3 }),
    },
    { noNullPrototype: true },
  );

function file(sourceCount: number): fc.Arbitrary<PlanFile> {
  const part = fc.record(
    {
      length: fc.integer({ min: 1, max: 2 ** 40 }),
      source: fc.integer({ min: GAP, max: sourceCount - 1 }),
      sourceOffset: fc.nat({ max: 2 ** 30 }),
    },
    { noNullPrototype: true },
  );
  return fc
    .record({
      path: fc.array(component, { minLength: 1, maxLength: 4 }),
      parts: fc.array(part, { maxLength: 4 }),
      mode: fc.constantFrom('exact', 'unsplitable', 'normal', 'none'),
      code: fc.constantFrom('verified', 'believed', 'no-candidate', 'unproven'),
      mtimeMs: mtime,
      executable: fc.boolean(),
      symlink: fc.array(component, { minLength: 1, maxLength: 3 }),
    })
    .map(({ parts, symlink, ...rest }): PlanFile => {
      let length = 0;
      const extents = parts.map((p): Extent => {
        length += p.length;
        const sourceOffset = p.source < 0 ? 0 : p.sourceOffset;
        return { offset: length - p.length, length: p.length, source: p.source, sourceOffset };
      });
      const only = (wanted: number): boolean => extents.length > 0 && extents.every((e) => e.source === wanted);
      const status = extents.every((e) => e.source >= 0)
        ? 'mapped'
        : only(GAP)
          ? 'missing'
          : only(ZEROS)
            ? 'pad'
            : 'partial';
      const linked = length === 0 ? { symlink } : {};
      return Object.assign(rest, { length, status, extents } as const, linked);
    });
}

const sum = (lengths: readonly number[]): number => lengths.reduce((a, b) => a + b, 0);

const plan: fc.Arbitrary<Plan> = fc.integer({ min: 0, max: 5 }).chain((sourceCount) =>
  fc
    .record({
      name: fc.string({ unit: 'grapheme' }),
      infoHash: fc.uint8Array({ minLength: 20, maxLength: 20 }).map((a) => Buffer.from(a).toString('hex')),
      metainfo: fc.uint8Array({ maxLength: 200 }).map((a) => Buffer.from(a)),
      pieceCount: fc.nat({ max: 100 }),
      pieceLength: big,
      aligned: fc.boolean(),
      verify: fc.constantFrom('none', 'probe', 'full'),
      sources: fc.array(source(sourceCount), { minLength: sourceCount, maxLength: sourceCount }),
      files: fc.array(file(sourceCount), { maxLength: 6 }),
    })
    .map(({ files, aligned, ...others }): Plan => {
      const rest = aligned ? Object.assign(others, { aligned } as const) : others;
      const verified = Buffer.alloc(Math.ceil(rest.pieceCount / 8));
      for (let i = 0; i < rest.pieceCount; i += 3) verified[i >> 3] = (verified[i >> 3] ?? 0) | (0x80 >> (i & 7));
      const gaps = files.flatMap((f) => f.extents.filter((e) => e.source === GAP).map((e) => e.length));
      const totalLength = sum(files.map((f) => f.length));
      return Object.assign(rest, { verified, files, totalLength, missingBytes: sum(gaps) });
    }),
);

const SOURCE: PlanSource = {
  path: Buffer.from('/a\xff', 'latin1'),
  dev: 1,
  ino: 2n,
  size: 40000,
  mtimeNs: 1_500_000n,
  ctimeNs: 1_500_001n,
  spares: [0],
};
const MAPPED: PlanFile = {
  path: ['x', 'a'],
  length: 39900,
  status: 'mapped',
  mode: 'normal',
  code: 'verified',
  mtimeMs: 1.5,
  executable: true,
  extents: [{ offset: 0, length: 39900, source: 0, sourceOffset: 100 }],
};
const MISSING: PlanFile = {
  path: ['x', 'b'],
  length: 100,
  status: 'missing',
  mode: 'none',
  code: 'no-candidate',
  mtimeMs: 3,
  executable: false,
  extents: [{ offset: 0, length: 100, source: GAP, sourceOffset: 0 }],
};
const SMALL: Plan = {
  name: 'x',
  infoHash: 'ab'.repeat(20),
  metainfo: Buffer.from('de'),
  pieceCount: 3,
  pieceLength: 16384,
  verified: Buffer.from([0b10100000]),
  verify: 'full',
  totalLength: 40000,
  missingBytes: 100,
  sources: [SOURCE],
  files: [MAPPED, MISSING],
};

const refused = (bytes: Buffer, message: RegExp): void =>
  assert.throws(
    () => decodePlan(bytes),
    (error) => error instanceof AutotorrentError && error.code === 'SERVER' && message.test(error.message),
  );

const extent = (e: Partial<Extent>): PlanFile[] => [
  { ...MAPPED, extents: [{ offset: 0, length: 39900, source: 0, sourceOffset: 0, ...e }] },
  MISSING,
];
const first = (change: Partial<PlanFile>): PlanFile[] => [{ ...MAPPED, ...change }, MISSING];

describe('plan codec', () => {
  it('gives back what was encoded', () => {
    fc.assert(fc.property(plan, (p) => assert.deepEqual(decodePlan(encodePlan(p)), p)));
  });

  it('is read in slices', () => {
    const reader = new PlanReader(encodePlan(SMALL));
    assert.equal(reader.header.fileCount, 2);
    assert.throws(() => reader.files().next(), /sources of a plan come before/);
    const sources = reader.sources();
    assert.deepEqual(sources.next().value, SMALL.sources[0]);
    assert.equal(sources.next().done, true);
    const files = reader.files();
    assert.deepEqual(files.next().value, SMALL.files[0]);
    assert.deepEqual(files.next().value, SMALL.files[1]);
    assert.equal(files.next().done, true);
  });

  it('takes about 30 bytes a file beside its names', () => {
    const files = Array.from(
      { length: 10_000 },
      (_, i): PlanFile => ({
        ...MAPPED,
        path: ['x', `${i}`.padStart(10, '0')],
      }),
    );
    const bytes = encodePlan({ ...SMALL, files, totalLength: 399e6, missingBytes: 0 });
    assert.ok(bytes.length < 10_000 * (30 + 12), `${bytes.length}`);
  });

  it('takes names that only a mount shows', () => {
    const path = ['é'.repeat(511), 'x'.repeat(1023)];
    assert.deepEqual(decodePlan(encodePlan({ ...SMALL, files: first({ path }) })).files[0]?.path, path);
  });

  it('refuses every cut', () => {
    const bytes = encodePlan(SMALL);
    for (let end = 0; end < bytes.length; end++) refused(bytes.subarray(0, end), /./);
    refused(Buffer.concat([bytes, Buffer.from([0])]), /something follows/);
  });

  const cases: [string, Partial<Plan>, RegExp][] = [
    ['a source that is not there', { files: extent({ source: 1 }) }, /extent’s source is too large/],
    ['an extent past its source', { files: extent({ sourceOffset: 101 }) }, /passes the end of its source/],
    ['an extent past its file', { files: extent({ length: 39901 }) }, /extent’s length is too large/],
    ['an uncovered file', { files: extent({ length: 39899 }) }, /do not cover/],
    ['a gap in a mapped file', { files: extent({ source: GAP }) }, /mapped file has a gap/],
    ['a source in a pad', { files: first({ status: 'pad' }) }, /pad file has other bytes/],
    ['..', { files: first({ path: ['x', '..'] }) }, /component is not safe/],
    ['a slash', { files: first({ path: ['x/y'] }) }, /component is not safe/],
    ['a NUL', { files: first({ path: ['x\0'] }) }, /component is not safe/],
    ['an empty component', { files: first({ path: [''] }) }, /component is not safe/],
    ['no component', { files: first({ path: [] }) }, /path is empty/],
    ['a long component', { files: first({ path: ['é'.repeat(512)] }) }, /component is not safe/],
    ['a symlink with bytes', { files: first({ symlink: ['y'] }) }, /symlink has bytes/],
    ['a symlink out of the torrent', { files: first({ symlink: ['..', 'y'] }) }, /component is not safe/],
    ['a time that is none', { files: first({ mtimeMs: Number.NaN }) }, /not finite/],
    ['a wrong total', { totalLength: 40001 }, /do not add up to the total/],
    ['wrong missing bytes', { missingBytes: 99 }, /do not add up to what is missing/],
    ['a short piece map', { verified: Buffer.alloc(0) }, /piece map does not fit/],
    ['a long piece map', { verified: Buffer.alloc(2) }, /piece map does not fit/],
    ['bits after the last piece', { verified: Buffer.from([0b00010000]) }, /bits after the last piece/],
    ['pieces of no length', { pieceLength: 0 }, /piece length is 0/],
    ['a relative source', { sources: [{ ...SOURCE, path: Buffer.from('a') }] }, /not absolute/],
    ['a spare that is not there', { sources: [{ ...SOURCE, spares: [1] }] }, /spare is too/],
  ];
  for (const [name, change, message] of cases) {
    it(`refuses ${name}`, () => refused(encodePlan({ ...SMALL, ...change }), message));
  }

  it('refuses another version', () => {
    const bytes = Buffer.from(encodePlan(SMALL));
    bytes[6] = 4;
    refused(bytes, /version 4 is not 5/);
  });

  it('gives a sound plan or its own error for any change of bytes', () => {
    const bytes = encodePlan(SMALL);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const changed = Buffer.from(bytes);
          for (const [at, byte] of changes) changed[at] = byte;
          try {
            const decoded = decodePlan(changed);
            for (const f of decoded.files) {
              assert.equal(
                f.extents.reduce((end, e) => (assert.equal(e.offset, end), end + e.length), 0),
                f.length,
              );
            }
          } catch (error) {
            assert.ok(error instanceof AutotorrentError && error.code === 'SERVER', String(error));
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('does not allocate for counts that cannot be', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        refused(Buffer.concat([encodePlan(SMALL).subarray(0, 7), noise]), /./);
      }),
    );
  });
});
