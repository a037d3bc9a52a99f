import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { openZip } from '../../src/container/zip.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { MemoryVolumes } from './memory-volumes.ts';

const folder = temporaryFolder('zip');

/** A ZIP that Python's zipfile writes: `z` is open, `S` is for stored, `D` for deflated members. */
function zipOf(script: string, open = "zipfile.ZipFile(path, 'w')"): Buffer {
  const path = join(folder, 'made.zip');
  const lines = [
    'import io, sys, zipfile',
    'path, S, D = sys.argv[1], zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED',
    'def info(name, how=S, mode=0o100644):',
    '  i = zipfile.ZipInfo(name); i.compress_type = how; i.external_attr = mode << 16; i.create_system = 3; return i',
    `with ${open} as z:`,
    ...script.split('\n').map((line) => `  ${line.trim()}`),
  ];
  execFileSync('/usr/bin/python3', ['-c', lines.join('\n'), path]);
  return readFileSync(path);
}

function contents(zip: Buffer): Record<string, Buffer | string> {
  const memory = new MemoryVolumes([zip]);
  return memory.contents(openZip(memory));
}

const A = Buffer.alloc(1000, 'a');

describe('a ZIP', () => {
  it('says where its stored members lie', () => {
    const zip = zipOf(
      `z.writestr(info('dir/'), b'')
       z.writestr(info('dir/ünï.bin'), b'a' * 1000)
       z.writestr(info('deflated', D), b'b' * 1000)
       z.writestr(info('empty'), b'')
       z.writestr(info('link', S, 0o120777), b'empty')
       z.comment = b'PK\\x05\\x06 a comment that looks like an end record'`,
    );
    assert.deepEqual(contents(zip), {
      'dir/': 'not a file',
      'dir/ünï.bin': A,
      deflated: 'compressed',
      empty: Buffer.alloc(0),
      link: 'not a file',
    });
  });

  it('of zip64 is like any other', () => {
    const zip = zipOf(
      `with z.open(info('large'), 'w', force_zip64=True) as f: f.write(b'a' * 1000)
       z.writestr(info('small'), b'c')`,
    );
    assert.deepEqual(contents(zip), { large: A, small: Buffer.from('c') });
  });

  it('of zip64 whose numbers do not fit', () => {
    // Sizes and places that are said to be beyond 4 GiB, though they are not: as with the real ones, only zip64 has them.
    const zip = zipOf("z.writestr(info('first'), b'x')\nz.writestr(info('large'), b'a' * 1000)");
    const end = zip.length - 22;
    const central = zip.readUInt32LE(end + 16);
    const second = central + 46 + 5;
    const local = zip.readUInt32LE(second + 42);
    const extra = Buffer.alloc(28);
    extra.writeUInt16LE(1, 0);
    extra.writeUInt16LE(24, 2);
    extra.writeBigUInt64LE(1000n, 4);
    extra.writeBigUInt64LE(1000n, 12);
    extra.writeBigUInt64LE(BigInt(local), 20);
    const entry = Buffer.from(zip.subarray(second, end));
    for (const at of [20, 24, 42]) entry.writeUInt32LE(0xffffffff, at);
    entry.writeUInt16LE(28, 30);
    const directory = Buffer.concat([zip.subarray(central, second), entry, extra]);
    const end64 = Buffer.alloc(56);
    end64.writeUInt32LE(0x06064b50, 0);
    end64.writeBigUInt64LE(44n, 4);
    end64.writeBigUInt64LE(2n, 24);
    end64.writeBigUInt64LE(2n, 32);
    end64.writeBigUInt64LE(BigInt(directory.length), 40);
    end64.writeBigUInt64LE(BigInt(central), 48);
    const locator = Buffer.alloc(20);
    locator.writeUInt32LE(0x07064b50, 0);
    locator.writeBigUInt64LE(BigInt(central + directory.length), 8);
    locator.writeUInt32LE(1, 16);
    const last = Buffer.from(zip.subarray(end));
    last.writeUInt16LE(0xffff, 10);
    last.writeUInt32LE(0xffffffff, 12);
    last.writeUInt32LE(0xffffffff, 16);
    const made = Buffer.concat([zip.subarray(0, central), directory, end64, locator, last]);
    assert.deepEqual(contents(made), { first: Buffer.from('x'), large: A });
    // And without the field that has them.
    entry.writeUInt16LE(0, 30);
    const without = Buffer.concat([zip.subarray(0, central), zip.subarray(central, second), entry]);
    last.writeUInt32LE(without.length - central, 12);
    last.writeUInt32LE(central, 16);
    last.writeUInt16LE(2, 10);
    assert.equal(contents(Buffer.concat([without, last]))['large'], 'damaged');
  });

  it('written to a stream has data descriptors', () => {
    const zip = zipOf(
      "z.writestr(info('streamed'), b'a' * 1000)",
      "zipfile.ZipFile(type('W', (io.RawIOBase,), {'writable': lambda s: True, 'write': lambda s, b, f=open(path, 'wb'): f.write(b) and f.flush() or len(b)})(), 'w')",
    );
    assert.equal(zip.readUInt16LE(6) & 8, 8);
    assert.deepEqual(contents(zip), { streamed: A });
  });

  it('has an encrypted member', () => {
    const zip = zipOf("z.writestr(info('secret'), b'a' * 1000)");
    const central = zip.readUInt32LE(zip.length - 6);
    zip.writeUInt16LE(zip.readUInt16LE(central + 8) | 1, central + 8);
    assert.deepEqual(contents(zip), { secret: 'encrypted' });
  });

  it('has a name in UTF-8 beside one in another encoding', () => {
    const zip = zipOf(
      `import zlib, struct
       i = info('cp437')
       i.extra = struct.pack('<HHBI', 0x7075, 5 + 6, 1, zlib.crc32(b'cp437')) + 'näme!'.encode()
       z.writestr(i, b'1')
       j = info('other')
       j.extra = struct.pack('<HHBI', 0x7075, 5 + 6, 1, zlib.crc32(b'renamed since')) + 'näme!'.encode()
       z.writestr(j, b'2')`,
    );
    assert.deepEqual(contents(zip), { 'näme!': Buffer.from('1'), other: Buffer.from('2') });
  });

  it('lists many members by a few reads, and finds each with one more', () => {
    const zip = zipOf("for n in range(3000): z.writestr(info('%d' % n), b'%d' % n)");
    const memory = new MemoryVolumes([zip]);
    const archive = openZip(memory);
    assert.equal(archive?.members.length, 3000);
    assert.ok(memory.reads <= 3);
    const last = archive.members[2999];
    assert.equal(last === undefined ? '' : memory.contentOf(archive, last).toString(), '2999');
    assert.ok(memory.reads <= 4);
  });

  it('is none where it is something else, cut off, split, or behind a program', () => {
    const zip = zipOf("z.writestr(info('x'), b'a' * 1000)");
    const split = Buffer.from(zip);
    split.writeUInt16LE(1, split.length - 18);
    const many = Buffer.from(zip);
    many.writeUInt32LE(0x7fffffff, many.length - 10);
    for (const none of [Buffer.alloc(0), Buffer.alloc(5000), zip.subarray(0, -1), zip.subarray(30), split, many]) {
      assert.equal(openZip(new MemoryVolumes([none])), undefined);
    }
    assert.deepEqual(contents(Buffer.concat([Buffer.alloc(100), zip])), {});
    assert.equal(openZip(new MemoryVolumes([zip, zip])), undefined);
  });

  it('whatever is wrong in it, is read within bounds and believed within them', () => {
    const zip = zipOf(
      `z.writestr(info('one'), b'1' * 100)
       with z.open(info('two'), 'w', force_zip64=True) as f: f.write(b'2' * 100)
       z.writestr(info('three', D), b'3' * 100)`,
    );
    const damages = fc.array(fc.record({ at: fc.nat(zip.length - 1), byte: fc.nat(255) }), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(damages, (list) => {
        const mangled = Buffer.from(zip);
        for (const { at, byte } of list) mangled[at] = byte;
        const memory = new MemoryVolumes([mangled]);
        const archive = openZip(memory);
        for (const member of archive?.members ?? []) {
          if (archive === undefined) continue;
          const content = memory.contentOf(archive, member);
          assert.equal(typeof content === 'string' ? member.size : content.length, member.size);
        }
        assert.ok(memory.reads < 20);
      }),
      { numRuns: 2000 },
    );
  });
});
