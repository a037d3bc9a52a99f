import assert from 'node:assert/strict';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { stateIdIn } from '../../src/rescue/state-id.ts';
import { temporaryFolder } from '../harness/folder.ts';

describe('the id of a state', () => {
  it('stays, in a private file, and is made anew if that is lost or damaged', async () => {
    const folder = temporaryFolder('state-id');
    const id = stateIdIn(folder);
    assert.match(id, /^[0-9a-f]{32}$/);
    assert.equal(stateIdIn(folder), id);
    const [name = '', more] = await readdir(folder);
    assert.equal(more, undefined);
    assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600);
    await writeFile(join(folder, name), '../..');
    assert.notEqual(stateIdIn(folder), id);
    assert.match(stateIdIn(folder), /^[0-9a-f]{32}$/);
  });
});
