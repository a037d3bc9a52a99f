import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { GIVE_UP_AFTER, type Member, type Volumes } from '../../src/container/container.ts';
import { crc32 } from '../../src/container/crc32.ts';
import { openRar } from '../../src/container/rar.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { MemoryVolumes } from './memory-volumes.ts';
import { block5, type RarMember, type RarOptions, vint, volumeNames, writeRar4, writeRar5 } from './rar-writer.ts';

const FORMATS = [
  ['RAR4', writeRar4],
  ['RAR5', writeRar5],
] as const;

/** Gives bytes without a structure. */
function bytes(length: number, seed: number): Buffer {
  let state = (seed * 2654435761) >>> 0 || 1;
  return Buffer.from(
    Uint8Array.from({ length }, () => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return state;
    }),
  );
}

const MEMBERS: readonly RarMember[] = [
  { name: 'dir', kind: 'directory', data: Buffer.alloc(0) },
  { name: 'dir/ünïcode 東.bin', data: bytes(30_000, 1) },
  { name: 'empty', data: Buffer.alloc(0) },
  { name: 'big.mkv', data: bytes(200_000, 2) },
  { name: 'link', kind: 'symlink', data: Buffer.from('big.mkv') },
  { name: 'z.nfo', data: bytes(500, 3) },
];
const EXPECTED = {
  dir: 'not a file',
  'dir/ünïcode 東.bin': MEMBERS[1]?.data,
  empty: Buffer.alloc(0),
  'big.mkv': MEMBERS[3]?.data,
  link: 'not a file',
  'z.nfo': MEMBERS[5]?.data,
};
const LAYOUTS: readonly (readonly [string, RarOptions])[] = [
  ['in one volume', {}],
  ['in volumes', { volumeBytes: 20_000 }],
  ['in .part volumes', { volumeBytes: 20_000, newNumbering: true }],
  ['with recovery records', { volumeBytes: 20_000, recoveryBytes: 300 }],
  ['without end blocks', { volumeBytes: 20_000, noEnd: true }],
];

function opened(volumes: readonly Buffer[]): { archive: ReturnType<typeof openRar>; memory: MemoryVolumes } {
  const memory = new MemoryVolumes(volumes);
  return { archive: openRar(memory), memory };
}

for (const [format, write] of FORMATS) {
  describe(`a ${format} archive`, () => {
    for (const [layout, options] of LAYOUTS) {
      it(`says where its members lie, ${layout}`, () => {
        const { archive, memory } = opened(write(MEMBERS, options));
        assert.deepEqual(memory.contents(archive), EXPECTED);
      });
    }

    it('is listed with two volumes read, where one member fills all', () => {
      const volumes = write([{ name: 'big.mkv', data: bytes(400_000, 4) }], { volumeBytes: 20_000 });
      const { archive, memory } = opened(volumes);
      assert.ok(volumes.length > 20);
      assert.deepEqual(
        archive?.members.map(({ name, size, unusable }) => [name.toString(), size, unusable]),
        [['big.mkv', 400_000, undefined]],
      );
      assert.deepEqual([...memory.bytesRead.keys()], [0, volumes.length - 1]);
      assert.deepEqual(memory.contents(archive), { 'big.mkv': bytes(400_000, 4) });
      assert.ok(Math.max(...memory.bytesRead.values()) <= 12 << 10, 'a few KiB a volume');
    });

    it('lists every member where several begin and end in the middle', () => {
      const members = Array.from({ length: 9 }, (_, i) => ({ name: `${i}.bin`, data: bytes(70_000 + i, i) }));
      const { archive, memory } = opened(write(members, { volumeBytes: 20_000 }));
      assert.deepEqual(memory.contents(archive), Object.fromEntries(members.map(({ name, data }) => [name, data])));
    });

    it('has two members of one name', () => {
      const data = [bytes(100, 1), bytes(200, 2)];
      const { archive, memory } = opened(write(data.map((each) => ({ name: 'same', data: each }))));
      assert.deepEqual(
        archive?.members.map((member) => memory.contentOf(archive, member)),
        data,
      );
    });

    it('leaves alone what is compressed or encrypted, and keeps what is stored beside it', () => {
      const { archive, memory } = opened(
        write([
          { name: 'a', data: bytes(50, 1), compressed: true },
          { name: 'b', data: bytes(50, 2), encrypted: true },
          { name: 'c', data: bytes(50, 3) },
        ]),
      );
      assert.deepEqual(memory.contents(archive), { a: 'compressed', b: 'encrypted', c: bytes(50, 3) });
    });

    it('is given up where nothing but compressed members comes', () => {
      const members = Array.from({ length: 1000 }, (_, i) => ({
        name: `${i}`,
        data: bytes(5000, i),
        compressed: true,
      }));
      const { archive, memory } = opened(write(members));
      assert.equal(archive?.members.length, GIVE_UP_AFTER);
      assert.ok(memory.reads <= GIVE_UP_AFTER + 2);
    });

    it('says that a volume is missing', () => {
      const volumes = write(MEMBERS, { volumeBytes: 20_000 });
      const first = volumes.slice(0, 5);
      const early = opened(first);
      assert.deepEqual(early.memory.contents(early.archive), {
        dir: 'not a file',
        'dir/ünïcode 東.bin': MEMBERS[1]?.data,
        empty: Buffer.alloc(0),
        'big.mkv': 'incomplete',
      });
      const late = opened(volumes.slice(3));
      const contents = late.memory.contents(late.archive);
      // The volumes of RAR 5 are numbered: these are not the first ones.
      assert.deepEqual(Object.keys(contents), format === 'RAR5' ? [] : ['link', 'z.nfo']);
    });

    it('does not take volumes of another set', () => {
      const volumes = write(MEMBERS, { volumeBytes: 20_000 });
      const other = write([{ name: 'other', data: bytes(100_000, 7) }], { volumeBytes: 20_000 });
      const { archive, memory } = opened([...volumes.slice(0, 5), ...other.slice(5), ...volumes.slice(5)]);
      assert.match(String(memory.contents(archive)['big.mkv']), /^(?:damaged|incomplete)$/);
      const single = write([{ name: 'x', data: bytes(10, 1) }]);
      const mixed = opened([...volumes.slice(0, 5), ...single]);
      assert.equal(mixed.memory.contents(mixed.archive)['big.mkv'], 'incomplete');
    });

    it('is damaged where a volume in the middle was exchanged by a shorter one', () => {
      const volumes = write([{ name: 'big', data: bytes(200_000, 7) }], { volumeBytes: 20_000 });
      const shorter = write([{ name: 'big', data: bytes(200_000, 7) }], { volumeBytes: 19_000 });
      volumes[4] = shorter[4] ?? Buffer.alloc(0);
      const { archive, memory } = opened(volumes);
      assert.deepEqual(memory.contents(archive), { big: 'damaged' });
    });

    it('is none where the signature is all there is of it, or less', () => {
      const whole = write(MEMBERS)[0] ?? Buffer.alloc(0);
      for (const length of [0, 1, 6]) assert.equal(openRar(new MemoryVolumes([whole.subarray(0, length)])), undefined);
      assert.equal(openRar(new MemoryVolumes([])), undefined);
      assert.deepEqual(openRar(new MemoryVolumes([whole.subarray(0, 9)]))?.members, []);
    });

    it('whatever is wrong in it, is read within bounds and believed within them', () => {
      const volumes = write(MEMBERS, { volumeBytes: 60_000 });
      const damage = fc.record({
        volume: fc.nat(volumes.length - 1),
        at: fc.oneof(fc.nat(120), fc.nat(60_000)),
        byte: fc.nat(255),
      });
      fc.assert(
        fc.property(fc.array(damage, { minLength: 1, maxLength: 5 }), fc.nat(60_000), (damages, cut) => {
          const mangled = volumes.map((volume) => Buffer.from(volume));
          for (const { volume, at, byte } of damages) {
            const target = mangled[volume];
            if (target !== undefined && at < target.length) target[at] = byte;
          }
          const last = mangled.at(-1);
          if (cut < 30_000 && last !== undefined) mangled[mangled.length - 1] = last.subarray(0, cut);
          assertHarmless(mangled);
        }),
        { numRuns: 500 },
      );
    });
  });
}

/** Makes a RAR 5 archive of blocks, with right CRCs, which random damage never has. */
function rar5Of(...blocks: readonly Buffer[]): Buffer {
  const none = Buffer.alloc(0);
  return Buffer.concat([Buffer.from('526172211a070100', 'hex'), block5(1, 0, vint(0), none, none), ...blocks]);
}

function assertHarmless(buffers: readonly Buffer[]): void {
  const memory = new MemoryVolumes(buffers);
  const archive = openRar(memory);
  if (archive === undefined) return;
  for (const member of archive.members) {
    const content = memory.contentOf(archive, member);
    assert.equal(typeof content === 'string' ? member.size : content.length, member.size);
  }
  assert.ok(memory.reads < 1000);
}

describe('a hostile RAR archive', () => {
  const none = Buffer.alloc(0);
  /** Makes a file's block whose sizes are written as given. */
  const file = (size: Buffer, dataLength: Buffer, name = Buffer.from('x')): Buffer => {
    const fields = Buffer.concat([vint(0), size, vint(0), vint(0), vint(1), vint(name.length), name]);
    const body = Buffer.concat([vint(2), vint(2), dataLength, fields]);
    const counted = Buffer.concat([vint(body.length), body]);
    const crc = Buffer.alloc(4);
    crc.writeUInt32LE(crc32(counted));
    return Buffer.concat([crc, counted, Buffer.alloc(10)]);
  };

  it('has lengths beyond every file', () => {
    const huge = Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    const endless = Buffer.alloc(12, 0xff);
    for (const [size, data] of [
      [huge, vint(10)],
      [vint(10), huge],
      [endless, vint(10)],
      [vint(10), endless],
      [huge, huge],
      [vint(2 ** 52), vint(10)],
    ] as const) {
      const memory = new MemoryVolumes([rar5Of(file(size, data))]);
      const archive = openRar(memory);
      for (const member of archive?.members ?? []) assert.equal(memory.contentOf(archive!, member), 'damaged');
    }
  });

  it('has names without end', () => {
    const long = file(vint(10), vint(10), Buffer.alloc(60_000, 0x61));
    const archive = openRar(new MemoryVolumes([rar5Of(long)]));
    assert.deepEqual(
      archive?.members.map((member: Member) => [member.name.length, member.unusable]),
      [[4096, 'damaged']],
    );
  });

  it('claims volumes without end', () => {
    const [first = none] = writeRar5([{ name: 'x', data: bytes(50_000, 1) }], { volumeBytes: 2000 });
    let reads = 0;
    const volumes: Volumes = {
      count: 10_000,
      size: () => first.length,
      read: (_, offset, length) => {
        reads++;
        return first.subarray(offset, offset + length);
      },
    };
    const archive = openRar(volumes);
    assert.equal(archive?.members[0]?.unusable, 'incomplete');
    assert.ok(reads < 20);
  });
});

describe('what the writer of these tests writes', () => {
  const folder = temporaryFolder('rar');

  for (const [format, write] of FORMATS) {
    for (const [style, options] of [
      ['single', {}],
      ['old', { volumeBytes: 20_000 }],
      ['part', { volumeBytes: 20_000, newNumbering: true }],
    ] as const) {
      const volumes = write(MEMBERS, options);
      const names = volumeNames('x', volumes.length, style === 'part' ? 'part' : 'old');
      const check = (out: string): void => {
        for (const { name, data, kind } of MEMBERS) {
          if (kind === undefined) assert.deepEqual(readFileSync(join(out, name.toString())), data);
        }
      };

      it(`is read by libarchive: ${format}, ${style}`, () => {
        const out = join(folder, `${format}-${style}-bsdtar`);
        mkdirSync(out);
        // It reads the volumes as one stream.
        execFileSync('bsdtar', ['-xf', '-', '-C', out], {
          input: Buffer.concat(volumes),
          env: { ...process.env, LC_ALL: 'C.UTF-8' },
        });
        check(out);
      });

      // unar does not look for the old names of RAR 5.
      if (format === 'RAR5' && style === 'old') continue;
      it(`is read by unar: ${format}, ${style}`, () => {
        const out = join(folder, `${format}-${style}-unar`);
        mkdirSync(out);
        for (const [i, volume] of volumes.entries()) writeFileSync(join(out, names[i] ?? ''), volume);
        execFileSync('unar', ['-q', '-D', '-o', join(out, 'out'), join(out, names[0] ?? '')]);
        check(join(out, 'out'));
      });
    }
  }
});
