import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type MountOwner, mountOwner, type RunningClient, shutOut } from '../../src/config/mount-owner.ts';

const SELF = process.geteuid?.() ?? 0;
const GROUP = process.getegid?.() ?? 0;
const client = (name: string, uid: number, gid = uid): RunningClient => ({ client: name, user: { uid, gid } });

describe('whose the files in the mount are', () => {
  const OWN: MountOwner = { uid: SELF, gid: GROUP, from: 'server' };
  const THEIRS: MountOwner = { uid: 4001, gid: 4002, from: 'client' };
  const CASES: readonly (readonly [string, readonly RunningClient[], MountOwner])[] = [
    ['nobody is known', [], OWN],
    ['one client', [client('A', 4001, 4002)], THEIRS],
    ['two of one user', [client('A', 4001, 4002), client('B', 4001, 4003)], THEIRS],
    ['two of different users', [client('A', 4001), client('B', 4005)], OWN],
    ['one of root', [client('A', 0)], OWN],
    ['one of root beside another', [client('A', 0), client('B', 4001, 4002)], THEIRS],
    ['one of the server’s user', [client('A', SELF, 7)], OWN],
  ];
  for (const [title, clients, expected] of CASES) {
    it(`without owner: ${title}`, () => {
      assert.deepEqual(mountOwner({ owner: undefined }, clients), expected);
    });
  }

  it('is what owner says, whoever the clients run as', () => {
    const owner = { uid: 12, gid: 13 };
    assert.deepEqual(mountOwner({ owner }, [client('A', 4001)]), { ...owner, from: 'configuration' });
  });

  it('shuts nobody out who is the owner or root', () => {
    const owner: MountOwner = { uid: 4001, gid: 1, from: 'client' };
    assert.deepEqual(shutOut(owner, [client('A', 4001), client('B', 0)], 'file'), []);
  });

  it('names those that are shut out, and the owner that they need', () => {
    const owner: MountOwner = { uid: 4009, gid: 1, from: 'configuration' };
    const [said = '', ...more] = shutOut(
      owner,
      [client('A', 4001, 4002), client('B', 4001), client('C', 0)],
      '/the/file',
    );
    assert.deepEqual(more, []);
    assert.match(said, /^A runs as user 4001, B runs as user 4001, and .* belong to user 4009, as owner says\. /);
    assert.match(said, / Set owner = 4001:4002 in \/the\/file, and start the server again$/);
  });

  it('says that one has to be chosen of those that differ', () => {
    const clients = [client('A', 4001), client('B', 4005)];
    const [said = ''] = shutOut({ uid: 4001, gid: 1, from: 'configuration' }, clients, '/the/file');
    assert.match(said, /^B runs as user 4005, and .*only one can write: owner = USER:GROUP in \/the\/file names it$/);
  });
});
