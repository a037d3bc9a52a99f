import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { temporaryFolder } from '../harness/folder.ts';
import { asOtherUser, NEEDS_ROOT } from '../harness/other-user.ts';

it('names a file that may not be read by the path that the user gave', { skip: NEEDS_ROOT }, async () => {
  const folder = temporaryFolder('unreadable');
  chmodSync(folder, 0o755);
  const path = join(folder, 'private.conf');
  writeFileSync(path, '', { mode: 0o600 });
  const script = `import(${JSON.stringify(new URL('../../src/bytes/read-file.js', import.meta.url).href)})
    .then(({ readSmallFile }) => readSmallFile(${JSON.stringify(path)}, 10))
    .catch((error) => console.log(error.message))`;
  const { stdout } = await asOtherUser(`'${process.execPath}' -e '${script}'`);
  assert.equal(stdout.trim(), `EACCES: permission denied, open '${path}'`);
});
