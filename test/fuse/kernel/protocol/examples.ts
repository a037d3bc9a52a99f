/** A request of each opcode, packed by `pack.ts` after the kernel's header file, with what must be read from it. */
import { pack, text } from './pack.ts';

export interface Example {
  readonly opcode: number;
  readonly body: Buffer;
  readonly expected: Readonly<Record<string, unknown>>;
}

/** Numbers of which the examples are made. Those with `ns` are below a thousand million; 32 bits where nothing else is said. */
export interface Numbers {
  /** Safe integers. */
  readonly a: number;
  readonly b: number;
  readonly c: number;
  /** 32 bits. */
  readonly x: number;
  readonly y: number;
  readonly z: number;
  /** Signed safe integers. */
  readonly s: number;
  readonly t: number;
  readonly ns: number;
  readonly ns2: number;
  readonly flag: boolean;
  readonly name: string;
  readonly other: string;
  readonly data: Buffer;
}

const TYPES = ['fifo', 'character', 'directory', 'block', 'file', 'socket'] as const;
const MODES = [0o010000, 0o020000, 0o040000, 0o060000, 0o100000, 0o140000] as const;

export function examples(numbers: Numbers): Example[] {
  const { a, b, c, x, y, z, s, t, ns, ns2, flag, name, other, data } = numbers;
  const permissions = y % 0o10000;
  const umask = z % 0o1000;
  const some = x % 65_536;
  const bit = flag ? 1 : 0;
  const kind = x % TYPES.length;
  return [
    { opcode: 1, body: text(name), expected: { kind: 'lookup', name } },
    { opcode: 2, body: pack('Q', a), expected: { kind: 'forget', lookups: a } },
    { opcode: 3, body: pack('IIQ', bit, 0, a), expected: { kind: 'getattr', handle: flag ? a : undefined } },
    {
      opcode: 4,
      body: pack('IIQQQqqqIIIIIIII', 0x07f, 0, a, b, x, s, t, s, ns, ns2, ns, y, 0, x, z, 0),
      expected: {
        kind: 'setattr',
        handle: a,
        changes: {
          mode: permissions,
          uid: x,
          gid: z,
          size: b,
          atime: { seconds: s, nanoseconds: ns },
          mtime: { seconds: t, nanoseconds: ns2 },
        },
        ctime: undefined,
        killSetIds: false,
      },
    },
    {
      opcode: 4,
      body: pack('IIQQQqqqIIIIIIII', 0xdb0, 0, a, b, x, s, t, s, ns, ns2, ns, y, 0, x, z, 0),
      expected: {
        kind: 'setattr',
        handle: undefined,
        changes: { atime: 'now', mtime: 'now' },
        ctime: { seconds: s, nanoseconds: ns },
        killSetIds: true,
      },
    },
    {
      opcode: 4,
      body: pack('IIQQQqqqIIIIIIII', 8, 0, a, b, x, s, t, s, ns, ns2, ns, y, 0, x, z, 0),
      expected: { kind: 'setattr', handle: undefined, changes: { size: b }, ctime: undefined, killSetIds: false },
    },
    { opcode: 5, body: pack(''), expected: { kind: 'readlink' } },
    { opcode: 6, body: text(name, other), expected: { kind: 'symlink', name, target: other } },
    {
      opcode: 8,
      body: Buffer.concat([pack('IIII', MODES[kind]! + permissions, z, umask, 0), text(name)]),
      expected: { kind: 'mknod', name, type: TYPES[kind], mode: permissions, rdev: z, umask },
    },
    {
      opcode: 9,
      body: Buffer.concat([pack('II', permissions, umask), text(name)]),
      expected: { kind: 'mkdir', name, mode: permissions, umask },
    },
    { opcode: 10, body: text(name), expected: { kind: 'unlink', name } },
    { opcode: 11, body: text(name), expected: { kind: 'rmdir', name } },
    {
      opcode: 12,
      body: Buffer.concat([pack('Q', a), text(name, other)]),
      expected: { kind: 'rename', newParent: a, name, newName: other, flags: 0 },
    },
    {
      opcode: 45,
      body: Buffer.concat([pack('QII', a, x, 0), text(name, other)]),
      expected: { kind: 'rename', newParent: a, name, newName: other, flags: x },
    },
    { opcode: 13, body: Buffer.concat([pack('Q', a), text(name)]), expected: { kind: 'link', oldNode: a, name } },
    { opcode: 14, body: pack('II', x, bit), expected: { kind: 'open', flags: x, killSetIds: flag } },
    { opcode: 27, body: pack('II', x, bit), expected: { kind: 'opendir', flags: x, killSetIds: flag } },
    {
      opcode: 35,
      body: Buffer.concat([pack('IIII', x, 0o100000 + permissions, umask, bit), text(name)]),
      expected: { kind: 'create', name, flags: x, mode: permissions, umask, killSetIds: flag },
    },
    {
      opcode: 15,
      body: pack('QQIIQII', a, b, some, 0, c, y, 0),
      expected: { kind: 'read', handle: a, offset: b, size: some, flags: y },
    },
    {
      opcode: 16,
      body: Buffer.concat([pack('QQIIQII', a, b, data.length, flag ? 5 : 2, c, y, 0), data]),
      expected: { kind: 'write', handle: a, offset: b, data, flags: y, fromCache: flag, killSetIds: flag },
    },
    { opcode: 17, body: pack(''), expected: { kind: 'statfs' } },
    { opcode: 18, body: pack('QIIQ', a, x, bit, b), expected: { kind: 'release', handle: a, flags: x, flush: flag } },
    {
      opcode: 29,
      body: pack('QIIQ', a, x, bit, b),
      expected: { kind: 'releasedir', handle: a, flags: x, flush: flag },
    },
    { opcode: 20, body: pack('QII', a, bit, 0), expected: { kind: 'fsync', handle: a, dataOnly: flag } },
    { opcode: 30, body: pack('QII', a, bit, 0), expected: { kind: 'fsyncdir', handle: a, dataOnly: flag } },
    {
      opcode: 21,
      body: Buffer.concat([pack('II', data.length, x), text(name), data]),
      expected: { kind: 'setxattr', name, value: data, flags: x },
    },
    {
      opcode: 22,
      body: Buffer.concat([pack('II', some, 0), text(name)]),
      expected: { kind: 'getxattr', size: some, name },
    },
    { opcode: 23, body: pack('II', some, 0), expected: { kind: 'listxattr', size: some } },
    { opcode: 24, body: text(name), expected: { kind: 'removexattr', name } },
    { opcode: 25, body: pack('QIIQ', a, 0, 0, c), expected: { kind: 'flush', handle: a } },
    {
      opcode: 26,
      body: pack('IIII', 7, 31, x, 0x0fff_ffff),
      expected: { kind: 'init', major: 7, minor: 31, maxReadahead: x, offered: 0x0fff_ffffn },
    },
    {
      opcode: 26,
      body: pack('IIIII11I', 7, 45, x, 0x7fff_ffff, y, ...Array<number>(11).fill(0)),
      expected: {
        kind: 'init',
        major: 7,
        minor: 45,
        maxReadahead: x,
        offered: 0x7fff_ffffn + BigInt(y) * 2n ** 32n,
      },
    },
    {
      opcode: 28,
      body: pack('QQIIQII', a, b, some, 0, 0, x, 0),
      expected: { kind: 'readdir', handle: a, offset: b, size: some },
    },
    {
      opcode: 44,
      body: pack('QQIIQII', a, b, some, 0, 0, x, 0),
      expected: { kind: 'readdirplus', handle: a, offset: b, size: some },
    },
    { opcode: 36, body: pack('Q', a), expected: { kind: 'interrupt', target: BigInt(a) } },
    { opcode: 38, body: pack(''), expected: { kind: 'destroy' } },
    { opcode: 42, body: pack('II', 0, 0), expected: { kind: 'batchForget', forgotten: [] } },
    {
      opcode: 42,
      body: pack('IIQQQQ', 2, 0, a, b, c, x),
      expected: {
        kind: 'batchForget',
        forgotten: [
          { node: a, lookups: b },
          { node: c, lookups: x },
        ],
      },
    },
    {
      opcode: 43,
      body: pack('QQQII', a, x, y, z, 0),
      expected: { kind: 'fallocate', handle: a, offset: x, length: y, mode: z },
    },
    { opcode: 46, body: pack('QqII', a, s, x, 0), expected: { kind: 'lseek', handle: a, offset: s, whence: x } },
    {
      opcode: 47,
      body: pack('QQQQQQQ', a, b, c, a, b, c, 0),
      expected: {
        kind: 'copyFileRange',
        handle: a,
        offset: b,
        toNode: c,
        toHandle: a,
        toOffset: b,
        length: c,
        wide: false,
      },
    },
    {
      opcode: 53,
      body: pack('QQQQQQQ', a, b, c, a, b, c, 0),
      expected: {
        kind: 'copyFileRange',
        handle: a,
        offset: b,
        toNode: c,
        toHandle: a,
        toOffset: b,
        length: c,
        wide: true,
      },
    },
    { opcode: 50, body: pack('Q', 0), expected: { kind: 'syncfs' } },
    {
      opcode: 52,
      body: pack('IIQII', bit, 0, a, x, y),
      expected: { kind: 'statx', handle: flag ? a : undefined, flags: x, mask: y },
    },
    { opcode: 51, body: pack('IIII', x, y, umask, 0), expected: { kind: 'unknown', opcode: 51 } },
  ];
}

export const USUAL: Numbers = {
  a: 7,
  b: 2 ** 40,
  c: 3,
  x: 1,
  y: 0o644,
  z: 5,
  s: -3,
  t: 1_700_000_000,
  ns: 999_999_999,
  ns2: 0,
  flag: true,
  name: 'name',
  other: 'another name',
  data: Buffer.from('some data'),
};
