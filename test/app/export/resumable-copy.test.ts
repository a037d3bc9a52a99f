/** The counts of a copy that goes on after an interruption. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type CopyOutcome, copyFile } from '../../../src/app/export/resumable-copy.ts';
import { silentLogger } from '../../../src/logger.ts';
import { openCLibrary } from '../../../src/native/c-library.ts';
import { loadFileCalls } from '../../../src/native/files.ts';
import { HeldFolder } from '../../../src/native/held-folder.ts';
import { temporaryFolder } from '../../harness/folder.ts';

const MIB = 2 ** 20;
const data = randomBytes(4 * MIB);

describe('copyFile', () => {
  let from: string;
  let to: string;
  let counted: { fresh: number; kept: number };

  let held: HeldFolder;
  afterEach(async () => await held.close());
  beforeEach(async () => {
    const folder = temporaryFolder('copy');
    held = await HeldFolder.open(folder);
    from = join(folder, 'from');
    to = join(folder, 'to');
    counted = { fresh: 0, kept: 0 };
    await writeFile(from, data);
  });

  /** Runs `meanwhile` once, when bytes of this kind are counted. */
  const copy = (meanwhile?: { readonly fresh: boolean; readonly act: () => void }): Promise<CopyOutcome> => {
    let act = meanwhile?.act;
    return copyFile({
      from: { folder: held, name: 'from' },
      to: { folder: held, name: 'to' },
      umask: 0o022,
      length: data.length,
      libc: loadFileCalls(openCLibrary(silentLogger)),
      signal: new AbortController().signal,
      onBytes(bytes, fresh) {
        counted[fresh ? 'fresh' : 'kept'] += bytes;
        if (fresh !== meanwhile?.fresh) return;
        act?.();
        act = undefined;
      },
    });
  };

  it('counts what was there apart from what it copied', async () => {
    await writeFile(to, data.subarray(0, 2 * MIB));
    assert.equal(await copy(), 'copied');
    assert.deepEqual(counted, { fresh: 2 * MIB, kept: 2 * MIB });
    assert.ok(data.equals(await readFile(to)));
  });

  it('takes back all that it counted where the source changes after a resumed copy', async () => {
    await writeFile(to, data.subarray(0, 3 * MIB));
    assert.equal(await copy({ fresh: true, act: () => utimesSync(from, 1, 1) }), 'changed');
    assert.deepEqual(counted, { fresh: 0, kept: 0 });
    assert.equal(await copy(), 'copied');
    assert.equal(counted.fresh + counted.kept, data.length);
    assert.ok(counted.fresh >= 0, `${counted.fresh} bytes were copied`);
  });

  it('takes back all that it counted where the source becomes shorter', async () => {
    await writeFile(to, data.subarray(0, 2 * MIB));
    assert.equal(await copy({ fresh: false, act: () => truncateSync(from, MIB) }), 'changed');
    assert.deepEqual(counted, { fresh: 0, kept: 0 });
  });

  it('takes back all that it counted where the source is written anew', async () => {
    assert.equal(await copy({ fresh: true, act: () => writeFileSync(from, randomBytes(data.length)) }), 'changed');
    assert.deepEqual(counted, { fresh: 0, kept: 0 });
  });
});
