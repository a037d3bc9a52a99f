import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import {
  type Agreed,
  initReply,
  negotiate,
  otherMajorReply,
  USUAL_FLAGS,
  type Wanted,
} from '../../../../src/fuse/kernel/protocol/negotiation.ts';
import { readRequest } from '../../../../src/fuse/kernel/protocol/requests.ts';
import { InitFlag } from '../../../../src/fuse/kernel/protocol/structures.ts';
import { pack, packRequest, unpack } from './pack.ts';

const WANTED: Wanted = {
  flags: USUAL_FLAGS | InitFlag.PASSTHROUGH | InitFlag.EXPORT_SUPPORT,
  maxWrite: 2 ** 20,
  maxReadahead: 2 ** 20,
  maxBackground: 1024,
  congestionThreshold: 768,
  maxStackDepth: 2,
  pageBytes: 4096,
};
const ALL = 2n ** 64n - 1n;

function agreedOn(wanted: Wanted, minor: number, offered = ALL, maxReadahead = 2 ** 17): Agreed {
  const result = negotiate(init(7, minor, offered, maxReadahead), wanted);
  assert.ok(result.kind === 'agreed');
  return result.agreed;
}

function init(major: number, minor: number, offered = ALL, maxReadahead = 2 ** 17) {
  const low = Number(offered & 0xffff_ffffn);
  const high = Number(offered >> 32n);
  const body = pack('IIIII11I', major, minor, maxReadahead, low, high, ...Array<number>(11).fill(0));
  const request = readRequest(packRequest(26, body));
  assert.ok(request.kind === 'init');
  return request;
}

describe('negotiate', () => {
  it('agrees on what both sides know, and on no flag that one of them has not', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: ALL }),
        fc.bigInt({ min: 0n, max: ALL }),
        fc.nat({ max: 100 }),
        fc.nat({ max: 2 ** 24 }),
        (offered, flags, minor, maxWrite) => {
          const result = negotiate(init(7, minor, offered), { ...WANTED, flags, maxWrite });
          if (minor < 31) {
            assert.deepEqual(result, { kind: 'tooOld', version: `7.${minor}` });
            return;
          }
          assert.ok(result.kind === 'agreed');
          const { agreed } = result;
          const heard = (offered & InitFlag.INIT_EXT) === 0n ? offered & 0xffff_ffffn : offered;
          assert.equal(agreed.flags & ~heard, 0n, 'a flag was not offered');
          assert.equal(agreed.flags & ~flags & ~InitFlag.INIT_EXT, 0n, 'a flag was not wanted');
          assert.equal(agreed.flags > 0xffff_ffffn, (agreed.flags & InitFlag.INIT_EXT) !== 0n);
          assert.equal(agreed.minor, Math.min(minor, 46));
          // The kernel takes a read(2) whose buffer holds a write and 80 bytes, and 8192.
          assert.ok(agreed.bufferBytes >= Math.max(8192, agreed.maxWrite + 80));
          assert.ok(agreed.maxWrite >= 4096);
          if (agreed.maxPages !== 0) assert.ok(agreed.maxWrite <= agreed.maxPages * 4096);
          assert.equal(agreed.maxStackDepth, (agreed.flags & InitFlag.PASSTHROUGH) === 0n ? 0 : 2);
        },
      ),
    );
  });

  it('takes all of a new kernel, and less of an older one', () => {
    assert.deepEqual(agreedOn(WANTED, 45), {
      minor: 45,
      flags: WANTED.flags | InitFlag.INIT_EXT,
      maxReadahead: 2 ** 17,
      maxBackground: 1024,
      congestionThreshold: 768,
      maxWrite: 2 ** 20,
      maxPages: 256,
      maxStackDepth: 2,
      bufferBytes: 2 ** 20 + 4096,
    });
    const { flags, maxStackDepth } = agreedOn(WANTED, 31, 0x0fff_ffffn);
    assert.equal(flags, WANTED.flags & 0x0fff_ffffn);
    assert.equal(maxStackDepth, 0);
    assert.equal(agreedOn({ ...WANTED, maxStackDepth: 0 }, 45).flags & InitFlag.PASSTHROUGH, 0n);
    const only = agreedOn(WANTED, 45, InitFlag.READDIRPLUS_AUTO);
    assert.equal(only.flags, 0n);
  });

  it('keeps writes to what the kernel can send', () => {
    const without = (flag: bigint): Agreed => agreedOn(WANTED, 45, ALL & ~flag);
    assert.deepEqual([without(InitFlag.MAX_PAGES).maxWrite, without(InitFlag.MAX_PAGES).maxPages], [2 ** 17, 0]);
    assert.deepEqual([without(InitFlag.BIG_WRITES).maxWrite, without(InitFlag.BIG_WRITES).maxPages], [4096, 256]);
    const large = agreedOn({ ...WANTED, pageBytes: 65_536 }, 45);
    assert.deepEqual([large.maxWrite, large.maxPages], [2 ** 20, 16]);
    assert.equal(agreedOn({ ...WANTED, maxWrite: 1 }, 45).maxWrite, 4096);
    assert.equal(agreedOn(WANTED, 45, ALL, 2 ** 25).maxReadahead, 2 ** 20);
  });

  it('wants never what the vfs cannot do', () => {
    const { WRITEBACK_CACHE, POSIX_LOCKS, FLOCK_LOCKS, AUTO_INVAL_DATA, NO_OPEN_SUPPORT, DONT_MASK } = InitFlag;
    const { NO_OPENDIR_SUPPORT, POSIX_ACL, SETXATTR_EXT, EXPLICIT_INVAL_DATA, HANDLE_KILLPRIV } = InitFlag;
    const never = [WRITEBACK_CACHE, POSIX_LOCKS, FLOCK_LOCKS, AUTO_INVAL_DATA, NO_OPEN_SUPPORT, DONT_MASK].concat([
      NO_OPENDIR_SUPPORT,
      POSIX_ACL,
      SETXATTR_EXT,
      EXPLICIT_INVAL_DATA,
      HANDLE_KILLPRIV,
    ]);
    for (const flag of never) assert.equal(USUAL_FLAGS & flag, 0n);
  });

  it('asks a newer major version again, and refuses an older one', () => {
    assert.deepEqual(negotiate(init(8, 3), WANTED), { kind: 'again' });
    assert.deepEqual(negotiate(init(6, 40), WANTED), { kind: 'tooOld', version: '6.40' });
    assert.deepEqual(unpack('IiQII', otherMajorReply(5n)), [24, 0, 5n, 7, 46]);
  });
});

describe('the reply to INIT', () => {
  it('says what was agreed on', () => {
    const reply = initReply(7n, agreedOn(WANTED, 45));
    const flags = WANTED.flags | InitFlag.INIT_EXT;
    assert.deepEqual(unpack('IiQIIIIHHIIHHIIHH20x', reply), [
      80,
      0,
      7n,
      7,
      45,
      2 ** 17,
      Number(flags & 0xffff_ffffn),
      1024,
      768,
      2 ** 20,
      1,
      256,
      0,
      Number(flags >> 32n),
      2,
      0,
      0,
    ]);
  });
});
