import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { temporaryFolder } from './folder.ts';
import { asOtherUser, NEEDS_ROOT, OTHER_USER } from './other-user.ts';

describe('the other user', { skip: NEEDS_ROOT }, () => {
  it('is in no group of root, and cannot read what only root may read', async () => {
    const folder = temporaryFolder('other-user');
    await chmod(folder, 0o755);
    const secret = join(folder, 'secret');
    await writeFile(secret, 'secret', { mode: 0o600 });

    assert.equal((await asOtherUser('id -u; id -G')).stdout, `${OTHER_USER.uid}\n${OTHER_USER.gid}\n`);
    assert.notEqual((await asOtherUser('cat "$1"', secret)).code, 0);
    await chmod(secret, 0o644);
    assert.equal((await asOtherUser('cat "$1"', secret)).stdout, 'secret');
  });
});
