import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bothOf, grantedTo, hiddenBits, isNarrower, READ, type Readers, SEARCH } from '../../src/source/readers.ts';

const ofMode = (mode: number, bit = READ): Readers => grantedTo({ mode: 0o100000 | mode, gid: 7 }, bit);

type Entry = readonly [tag: number, permissions: number, id: number];

function list(...entries: readonly Entry[]): Buffer {
  const bytes = Buffer.alloc(4 + entries.length * 8);
  bytes.writeUInt32LE(2);
  for (const [i, [tag, permissions, id]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + i * 8);
    bytes.writeUInt16LE(permissions, 6 + i * 8);
    bytes.writeUInt32LE(id, 8 + i * 8);
  }
  return bytes;
}

describe('who may read a file', () => {
  it('is said by its mode', () => {
    assert.equal(ofMode(0o644), 'everyone');
    assert.deepEqual(ofMode(0o640), { group: 7 });
    assert.equal(ofMode(0o600), 'nobody');
    assert.equal(ofMode(0o604), 'nobody', 'the group is shut out, and its members are among the others of the mount');
    assert.equal(ofMode(0o711, SEARCH), 'everyone');
    assert.deepEqual(ofMode(0o750, SEARCH), { group: 7 });
    assert.equal(ofMode(0o744, SEARCH), 'nobody');
  });

  it('is said by its access control list, if it has one', () => {
    const of = (...entries: readonly Entry[]): Readers => grantedTo({ mode: 0o100664, gid: 7 }, READ, list(...entries));
    const usual = [
      [0x01, 6, 0],
      [0x04, 4, 0],
      [0x20, 4, 0],
    ] as const;
    assert.equal(of(...usual), 'everyone');
    assert.equal(of(...usual, [0x02, 4, 1000], [0x10, 6, 0]), 'everyone');
    assert.equal(of(...usual, [0x02, 0, 1000], [0x10, 6, 0]), 'nobody', 'a user is shut out');
    assert.equal(of(...usual, [0x08, 2, 1000], [0x10, 6, 0]), 'nobody', 'a group is shut out');
    assert.equal(of(...usual, [0x02, 6, 1000], [0x10, 2, 0]), 'nobody', 'the mask takes reading from all it masks');
    // The group bits of the mode are the mask then: the group itself has less.
    assert.equal(of([0x01, 6, 0], [0x02, 6, 1000], [0x04, 0, 0], [0x10, 6, 0], [0x20, 0, 0]), 'nobody');
    assert.deepEqual(of([0x01, 6, 0], [0x02, 6, 1000], [0x04, 4, 0], [0x10, 6, 0], [0x20, 0, 0]), { group: 7 });
    assert.equal(grantedTo({ mode: 0o644, gid: 7 }, READ, Buffer.from('nonsense')), 'nobody');
    assert.equal(grantedTo({ mode: 0o644, gid: 7 }, READ, Buffer.alloc(0)), 'nobody');
  });

  it('is who may read all of its sources', () => {
    assert.equal(bothOf('everyone', 'everyone'), 'everyone');
    assert.deepEqual(bothOf('everyone', { group: 7 }), { group: 7 });
    assert.deepEqual(bothOf({ group: 7 }, { group: 7 }), { group: 7 });
    assert.equal(bothOf({ group: 7 }, { group: 8 }), 'nobody');
    assert.equal(bothOf({ group: 7 }, 'nobody'), 'nobody');
  });

  it('has become fewer when somebody is missing, not when somebody came', () => {
    const group = { group: 7 };
    const cases: readonly (readonly [now: Readers, before: Readers, narrower: boolean])[] = [
      ['nobody', 'everyone', true],
      [group, 'everyone', true],
      ['nobody', group, true],
      [{ group: 8 }, group, true],
      ['everyone', group, false],
      ['everyone', 'nobody', false],
      [group, group, false],
      ['nobody', 'nobody', false],
    ];
    for (const [now, before, narrower] of cases) assert.equal(isNarrower(now, before), narrower);
  });

  it('leaves to the group that is shown what is for that very group', () => {
    assert.equal(0o755 & ~hiddenBits('everyone', 7), 0o755);
    assert.equal(0o775 & ~hiddenBits({ group: 7 }, 7), 0o770);
    assert.equal(0o775 & ~hiddenBits({ group: 7 }, 8), 0o720);
    assert.equal(0o666 & ~hiddenBits('nobody', 7), 0o622);
  });
});
