import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { readRequest } from '../../../../src/fuse/kernel/protocol/requests.ts';
import type { Opcode } from '../../../../src/fuse/kernel/protocol/structures.ts';

/** What `exercise.py` asked for. Nodes: 1 the root, 2 its folder, 3 the file in it, 4 its copy. */
const ASKED: Readonly<Record<keyof typeof Opcode, Readonly<Record<string, unknown>>>> = {
  LOOKUP: { kind: 'lookup', node: 1, name: 'folder' },
  FORGET: { kind: 'forget', lookups: 1 },
  GETATTR: { kind: 'getattr', node: 1, handle: undefined },
  SETATTR: { kind: 'setattr', node: 3, changes: { size: 5 }, handle: undefined, killSetIds: false },
  READLINK: { kind: 'readlink', node: 5 },
  SYMLINK: { kind: 'symlink', node: 2, name: 'link', target: '../target' },
  MKNOD: { kind: 'mknod', node: 2, name: 'fifo', type: 'fifo', mode: 0o600, rdev: 0, umask: 0o022 },
  MKDIR: { kind: 'mkdir', node: 1, name: 'folder', mode: 0o750, umask: 0o022 },
  UNLINK: { kind: 'unlink', node: 2, name: 'fourth' },
  RMDIR: { kind: 'rmdir', node: 2, name: 'empty' },
  RENAME: { kind: 'rename', node: 2, newParent: 2, name: 'second name', newName: 'third name', flags: 0 },
  LINK: { kind: 'link', node: 2, oldNode: 3, name: 'second name' },
  OPEN: { kind: 'open', node: 3, flags: 0o100000, killSetIds: false },
  READ: { kind: 'read', node: 3, handle: 1, offset: 0, size: 4096, flags: 0o100002 },
  WRITE: { kind: 'write', node: 3, handle: 1, offset: 0, data: Buffer.from('twelve bytes'), fromCache: false },
  STATFS: { kind: 'statfs' },
  RELEASE: { kind: 'release', node: 4, handle: 2, flags: 0o100002, flush: false },
  FSYNC: { kind: 'fsync', node: 3, handle: 1, dataOnly: false },
  SETXATTR: { kind: 'setxattr', node: 3, name: 'user.some', value: Buffer.from('value'), flags: 1 },
  GETXATTR: { kind: 'getxattr', node: 3, name: 'security.capability', size: 0 },
  LISTXATTR: { kind: 'listxattr', node: 3, size: 256 },
  REMOVEXATTR: { kind: 'removexattr', node: 3, name: 'user.some' },
  FLUSH: { kind: 'flush', node: 4, handle: 2 },
  INIT: { kind: 'init', major: 7, minor: 45, maxReadahead: 131_072, offered: 0x5fd_73ff_fffbn },
  OPENDIR: { kind: 'opendir', node: 2, flags: 0o304000, killSetIds: false },
  READDIR: { kind: 'readdir', node: 2, size: 32_768 },
  RELEASEDIR: { kind: 'releasedir', node: 2, flags: 0o304000 },
  FSYNCDIR: { kind: 'fsyncdir', node: 2, dataOnly: false },
  CREATE: { kind: 'create', node: 2, name: 'file', flags: 0o100102, mode: 0o640, umask: 0o022, killSetIds: false },
  INTERRUPT: { kind: 'interrupt' },
  DESTROY: { kind: 'destroy' },
  BATCH_FORGET: { kind: 'batchForget' },
  FALLOCATE: { kind: 'fallocate', node: 3, handle: 1, offset: 0, length: 4096, mode: 0 },
  READDIRPLUS: { kind: 'readdirplus', node: 2, offset: 0, size: 32_768 },
  RENAME2: { kind: 'rename', node: 2, newParent: 2, name: 'third name', newName: 'fourth', flags: 1 },
  LSEEK: { kind: 'lseek', node: 3, handle: 1, offset: 5, whence: 3 },
  COPY_FILE_RANGE: {
    kind: 'copyFileRange',
    node: 3,
    handle: 1,
    offset: 2,
    toNode: 4,
    toOffset: 3,
    length: 7,
    wide: false,
  },
  SYNCFS: { kind: 'syncfs', node: 1 },
  STATX: { kind: 'statx', node: 3, flags: 0, mask: 0xfff },
  COPY_FILE_RANGE_64: { kind: 'copyFileRange', node: 3, handle: 1, toNode: 4, toHandle: 2, toOffset: 3, wide: true },
};

describe('requests that Linux 6.18 has sent', () => {
  const [, ...lines] = readFileSync('test/fuse/kernel/protocol/captured.txt', 'utf8').trim().split('\n');
  const captured = new Map<string, Buffer>();
  for (let i = 0; i < lines.length; i += 2) captured.set(lines[i]!.slice(2), Buffer.from(lines[i + 1]!, 'hex'));

  for (const [name, asked] of Object.entries(ASKED)) {
    it(`are read: ${name}`, () => {
      const request = readRequest(captured.get(name)!) as unknown as Readonly<Record<string, unknown>>;
      assert.deepEqual(Object.fromEntries(Object.keys(asked).map((key) => [key, request[key]])), asked);
    });
  }

  it('are read: forgotten nodes, and an interrupted request', () => {
    const forgotten = readRequest(captured.get('BATCH_FORGET')!);
    assert.ok(forgotten.kind === 'batchForget' && forgotten.forgotten.length > 1);
    for (const { node, lookups } of forgotten.forgotten) assert.ok(node > 1 && lookups === 1);
    const interrupt = readRequest(captured.get('INTERRUPT')!);
    // The kernel numbers requests by even numbers, and an interrupt after what it interrupts.
    assert.ok(interrupt.kind === 'interrupt');
    assert.equal(interrupt.unique, interrupt.target + 1n);
  });

  it('are known, but for IOCTL and TMPFILE', () => {
    const unknown = readRequest(captured.get('unknown')!);
    assert.ok(unknown.kind === 'unknown' && unknown.opcode === 51);
  });
});
