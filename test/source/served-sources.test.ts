import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLogger } from '../../src/logger.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';
import { SourceFiles } from '../../src/source/served-sources.ts';
import { sourceOf } from '../harness/plans.ts';
import { temporaryFolder } from '../store/fixture.ts';

describe('the sources that are open', () => {
  let folder: { path: string; remove: () => Promise<void> };
  before(async () => {
    folder = await temporaryFolder();
    await fs.writeFile(join(folder.path, 'a'), 'bytes');
  });
  after(async () => await folder.remove());

  it('opens one anew that its last user closed while it was being looked at', async () => {
    const record = sourceOf(join(folder.path, 'a'));
    const sources = new SourceFiles(() => record, new OwnMounts(), silentLogger);
    const first = await sources.serve(1);
    sources.retain(first);
    const looking = sources.serve(1, true);
    sources.release(first);
    await looking;
    // Within the second for which a look is believed.
    assert.equal((await sources.serve(1)).closed, false);
    sources.close();
  });
});
