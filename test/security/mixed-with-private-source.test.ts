/** A local user reads a private source through a file that consists of several. */
import assert from 'node:assert/strict';
import { chmod, mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { PlanSource } from '../../src/plan/plan.ts';
import { Server } from '../conformance/server.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { DENIED, readByOther } from './scene.ts';

/** More sources than an open opens. */
const MANY = 40;
const SIZE = 100;

describe('a file of several sources', { skip: NEEDS_ROOT }, () => {
  let folder: string;
  let server: Server;
  let sources: string[];
  before(async () => {
    folder = temporaryFolder('mixed');
    await chmod(folder, 0o755);
    sources = Array.from({ length: MANY }, (_, i) => join(folder, `source ${i}`));
    for (const [i, path] of sources.entries()) await writeFile(path, Buffer.alloc(SIZE, `${i} `));
    await writeFile(join(folder, 'spare'), Buffer.alloc(SIZE, '0 '), { mode: 0o600 });
    await mkdir(join(folder, 'state'), { mode: 0o700 });
    const driver = 'fuse-native';
    server = await Server.start({ driver, mountPoint: join(folder, 'store'), statePath: join(folder, 'state') });
    const recorded: PlanSource[] = [...sources.map((path) => sourceOf(path)), sourceOf(join(folder, 'spare'))];
    recorded[0] = { ...recorded[0]!, spares: [MANY] };
    const extents = sources.map((_, i) => ({ length: SIZE, source: i, sourceOffset: 0 }));
    await server.create(
      planOf('Entry', recorded, [
        fileOf(['T', 'all'], extents),
        fileOf(['T', 'two'], extents.slice(5, 7)),
        fileOf(['T', 'one'], extents.slice(0, 1)),
      ]),
    );
  });
  after(async () => await server.stop());

  const at = (name: string): string => join(folder, 'store', 'Entry', 'T', name);
  const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

  it('is private as soon as one of them is', async () => {
    assert.equal(await modeOf(at('two')), 0o644);
    assert.equal((await readByOther(at('two'))).length, 2 * SIZE);
    await chmod(sources[6]!, 0o600);
    assert.equal(await readByOther(at('two')), DENIED);
    assert.equal(await modeOf(at('two')), 0o600);
    await chmod(sources[6]!, 0o644);
    assert.equal((await readFile(at('two'))).length, 2 * SIZE);
  });

  it('is private as soon as the last of many is, which no open opens', async () => {
    assert.equal((await readFile(at('all'))).length, MANY * SIZE);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert.equal((await readByOther(at('all'))).length, MANY * SIZE);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert.equal(await modeOf(at('all')), 0o644);
    await chmod(sources[MANY - 1]!, 0o600);
    assert.equal(await readByOther(at('all')), DENIED);
    assert.equal((await readFile(at('all'))).length, MANY * SIZE);
  });

  it('is private while a private copy stands in', async () => {
    assert.equal((await readByOther(at('one'))).length, SIZE);
    const file = await open(sources[0]!, 'w');
    await file.write('modified');
    await file.close();
    assert.equal(await readByOther(at('one')), DENIED);
    assert.ok((await readFile(at('one'))).equals(Buffer.alloc(SIZE, '0 ')));
  });
});
