import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { bytesOfName, nameOf } from '../../../../src/bytes/name-text.ts';
import { DirectoryReply } from '../../../../src/fuse/kernel/protocol/directory-reply.ts';
import {
  attributesReply,
  bytesReply,
  createReply,
  deleteEntry,
  type Entry,
  emptyReply,
  entryReply,
  errorReply,
  finishRead,
  invalidateEntry,
  invalidateInode,
  lseekReply,
  noEntryReply,
  openReply,
  roomForRead,
  statfsReply,
  statxReply,
  wideCopyReply,
  writeReply,
  xattrSizeReply,
} from '../../../../src/fuse/kernel/protocol/replies.ts';
import { OpenReplyFlag } from '../../../../src/fuse/kernel/protocol/structures.ts';
import type { Attributes, FileType } from '../../../../src/vfs/operations.ts';
import { pack, unpack } from './pack.ts';

const UNIQUE = 0xfedc_ba98_7654_3210n;
const ATTR = 'QQQqqqIIIIIIIIII';
const ENTRY = `QQQQII${ATTR}`;
const MODES: Readonly<Record<FileType, number>> = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
};

const u32 = fc.nat({ max: 0xffff_ffff });
const time = fc.record({ seconds: fc.maxSafeInteger(), nanoseconds: fc.nat({ max: 999_999_999 }) });
const attributes: fc.Arbitrary<Attributes> = fc.record({
  ino: fc.maxSafeNat(),
  type: fc.constantFrom(...(Object.keys(MODES) as FileType[])),
  mode: fc.nat({ max: 0o7777 }),
  nlink: u32,
  uid: u32,
  gid: u32,
  rdev: u32,
  size: fc.maxSafeNat(),
  blocks: fc.maxSafeNat(),
  atime: time,
  mtime: time,
  ctime: time,
});
const entry: fc.Arbitrary<Entry> = fc.record({
  node: fc.maxSafeNat(),
  generation: u32,
  attributes,
  entryMs: fc.nat(),
  attributesMs: fc.nat(),
});

/** Checks the header, and gives what follows it. */
function bodyOf(reply: Buffer, error = 0, unique = UNIQUE): Buffer {
  assert.deepEqual(unpack('IiQ', reply.subarray(0, 16)), [reply.length, error, unique]);
  return reply.subarray(16);
}

const valid = (ms: number): [bigint, number] => [BigInt(Math.floor(ms / 1000)), (ms % 1000) * 1_000_000];

function attrFields(of: Attributes): (number | bigint)[] {
  const { ino, size, blocks, atime, mtime, ctime, type, mode, nlink, uid, gid, rdev } = of;
  const wide = [ino, size, blocks, atime.seconds, mtime.seconds, ctime.seconds].map(BigInt);
  const times = [atime.nanoseconds, mtime.nanoseconds, ctime.nanoseconds];
  return [...wide, ...times, MODES[type] + mode, nlink, uid, gid, rdev, 4096, 0];
}

function entryFields({ node, generation, attributes: of, entryMs, attributesMs }: Entry): (number | bigint)[] {
  const [entrySeconds, entryNs] = valid(entryMs);
  const [attrSeconds, attrNs] = valid(attributesMs);
  return [BigInt(node), BigInt(generation), entrySeconds, attrSeconds, entryNs, attrNs, ...attrFields(of)];
}

describe('replies to the kernel', () => {
  it('with attributes have all of them, whatever their numbers', () => {
    fc.assert(
      fc.property(entry, fc.maxSafeNat(), u32, fc.nat({ max: 2 ** 31 - 1 }), (each, handle, flags, backing) => {
        assert.deepEqual(unpack(ENTRY, bodyOf(entryReply(UNIQUE, each))), entryFields(each));
        const opened = [BigInt(handle), flags, backing];
        const created = createReply(UNIQUE, each, { handle, flags, backing });
        assert.deepEqual(unpack(`${ENTRY}QIi`, bodyOf(created)), [...entryFields(each), ...opened]);
        assert.deepEqual(unpack('QIi', bodyOf(openReply(UNIQUE, { handle, flags, backing }))), opened);
        assert.deepEqual(unpack('QIi', bodyOf(openReply(UNIQUE, { handle, flags }))), [BigInt(handle), flags, 0]);
        const [seconds, ns] = valid(each.attributesMs);
        const known = attributesReply(UNIQUE, each.attributes, each.attributesMs);
        assert.deepEqual(unpack(`QII${ATTR}`, bodyOf(known)), [seconds, ns, 0, ...attrFields(each.attributes)]);
      }),
    );
  });

  it('to statx have the basic fields, and the two halves of a device', () => {
    fc.assert(
      fc.property(attributes, fc.nat({ max: 0xfff }), fc.nat({ max: 0xfffff }), (some, major, minor) => {
        // makedev(3), in the 32 bits that the kernel uses.
        const rdev = ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
        const of = { ...some, rdev };
        const { ino, size, blocks, type, mode, nlink, uid, gid, atime, mtime, ctime } = of;
        const fields = unpack('QII2QIIQIIIHHQQQQqIIqIIqIIqIIIIII14Q', bodyOf(statxReply(UNIQUE, of, 1500)));
        const head = [1n, 500_000_000, 0, 0n, 0n, 0x7ff, 4096, 0n, nlink, uid, gid, MODES[type] + mode, 0];
        const at = ({ seconds, nanoseconds }: Attributes['atime']) => [BigInt(seconds), nanoseconds, 0];
        assert.deepEqual(fields, [
          ...head,
          BigInt(ino),
          BigInt(size),
          BigInt(blocks),
          0n,
          ...at(atime),
          0n,
          0,
          0,
          ...at(ctime),
          ...at(mtime),
          major,
          minor,
          0,
          0,
          ...Array<bigint>(14).fill(0n),
        ]);
      }),
    );
  });

  it('that have a number or nothing are as long as the kernel expects', () => {
    const { DIRECT_IO, KEEP_CACHE, PASSTHROUGH } = OpenReplyFlag;
    const opened = { handle: 3, flags: DIRECT_IO | KEEP_CACHE | PASSTHROUGH, backing: 9 };
    assert.deepEqual(unpack('QIi', bodyOf(openReply(UNIQUE, opened))), [3n, 0x83, 9]);
    bodyOf(errorReply(UNIQUE, -2), -2);
    assert.equal(bodyOf(emptyReply(UNIQUE)).length, 0);
    assert.deepEqual(unpack('II', bodyOf(writeReply(UNIQUE, 0xffff_ffff))), [0xffff_ffff, 0]);
    assert.deepEqual(unpack('II', bodyOf(xattrSizeReply(UNIQUE, 65_536))), [65_536, 0]);
    assert.deepEqual(unpack('Q', bodyOf(lseekReply(UNIQUE, 2 ** 52 + 1))), [2n ** 52n + 1n]);
    assert.deepEqual(unpack('Q', bodyOf(wideCopyReply(UNIQUE, 2 ** 40))), [2n ** 40n]);
    const absent = unpack(ENTRY, bodyOf(noEntryReply(UNIQUE, 1500)));
    assert.deepEqual(absent.slice(0, 6), [0n, 0n, 1n, 0n, 500_000_000, 0]);
    assert.ok(absent.slice(6).every((field) => Number(field) === 0));
    const stats = { bsize: 4096, blocks: 2 ** 45, bfree: 3, bavail: 2, files: 9, ffree: 8 };
    assert.deepEqual(unpack('QQQQQIIII24x', bodyOf(statfsReply(UNIQUE, stats))), [
      2n ** 45n,
      3n,
      2n,
      9n,
      8n,
      4096,
      1023,
      4096,
      0,
    ]);
    assert.deepEqual(bodyOf(bytesReply(UNIQUE, Buffer.from('target'))), Buffer.from('target'));
  });

  it('to read are the buffer that was read into', () => {
    const { message, readInto } = roomForRead(100);
    assert.equal(readInto.length, 100);
    readInto.write('what was read');
    const reply = finishRead(message, UNIQUE, 13);
    assert.deepEqual(bodyOf(reply), Buffer.from('what was read'));
    assert.equal(reply.buffer, message.buffer);
  });
});

describe('notifications', () => {
  it('have no request, and their code in place of the error', () => {
    const inode = bodyOf(invalidateInode(2 ** 52 + 5, -1, 0), 2, 0n);
    assert.deepEqual(unpack('Qqq', inode), [2n ** 52n + 5n, -1n, 0n]);
    assert.deepEqual(unpack('Qqq', bodyOf(invalidateInode(3, 4096, 2 ** 40), 2, 0n)), [3n, 4096n, 2n ** 40n]);
    const name = 'größe';
    const after = Buffer.concat([Buffer.from(name), Buffer.alloc(1)]);
    assert.deepEqual(bodyOf(invalidateEntry(9, name), 3, 0n), Buffer.concat([pack('QII', 9, 7, 0), after]));
    assert.deepEqual(bodyOf(invalidateEntry(9, name, true), 3, 0n), Buffer.concat([pack('QII', 9, 7, 1), after]));
    assert.deepEqual(bodyOf(deleteEntry(9, 11, name), 6, 0n), Buffer.concat([pack('QQII', 9, 11, 7, 0), after]));
    const bytes = Buffer.from([0xff, 0x41]);
    assert.deepEqual(bodyOf(invalidateEntry(1, nameOf(bytes)), 3, 0n).subarray(16), Buffer.from([0xff, 0x41, 0]));
  });
});

describe('a reply to readdir or readdirplus', () => {
  const dentry = fc.record({
    name: fc
      .string({ unit: 'binary', minLength: 1, maxLength: 30 })
      .filter((each) => Buffer.from(each).toString() === each),
    ino: fc.maxSafeNat(),
    type: fc.constantFrom(...(Object.keys(MODES) as FileType[])),
    offset: fc.maxSafeNat(),
  });

  it('holds the names that fit, each whole, and stops before the first that does not', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(dentry, fc.option(entry, { nil: undefined })), { maxLength: 20 }),
        fc.nat({ max: 2000 }),
        fc.boolean(),
        (names, size, plus) => {
          const reply = new DirectoryReply(size);
          const added = names.findIndex(([each, leadsTo]) =>
            plus ? !reply.addWithEntry(each, leadsTo) : !reply.add(each),
          );
          const fitting = added === -1 ? names : names.slice(0, added);
          assert.equal(reply.isEmpty, fitting.length === 0);
          const parts = fitting.map(([{ name, ino, type, offset }, leadsTo]) => {
            const bytes = bytesOfName(name);
            const of = pack('QQII', ino, offset, bytes.length, MODES[type] / 0o010000);
            const named = leadsTo === undefined ? Buffer.alloc(128) : pack(ENTRY, ...entryFields(leadsTo));
            const whole = Buffer.concat([...(plus ? [named] : []), of, bytes]);
            return Buffer.concat([whole, Buffer.alloc((8 - (whole.length % 8)) % 8)]);
          });
          const body = bodyOf(reply.finish(UNIQUE));
          assert.deepEqual(body, Buffer.concat(parts));
          assert.ok(body.length <= size);
          if (added === -1) return;
          const next = Buffer.byteLength(names[added]![0].name) + 24 + (plus ? 128 : 0);
          assert.ok(body.length + Math.ceil(next / 8) * 8 > size, 'the next name would have had room');
        },
      ),
    );
  });
});
