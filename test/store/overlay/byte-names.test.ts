/** What clients gave names that are not UTF-8: it is listed, selected, discarded, and named to and by commands. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { means } from '../../../src/app/overlay-changes.ts';
import type { ServedDifference, ServedEntry } from '../../../src/control/served.ts';
import { printable } from '../../../src/printable.ts';
import type { Difference } from '../../../src/store/overlay/differences.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { BASE, planFor, Volume } from '../../vfs/volume.ts';

const MADE = 'T/caf\udce9';
const MOVED = 'T/d\udcff/\udce2\udc82';

async function all<T>(list: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of list) found.push(each);
  return found;
}

describe('names that are not UTF-8', () => {
  let volume: Volume;
  let infoHash: string;
  beforeEach(async () => {
    volume = await Volume.open(temporaryFolder('byte-names'));
    ({ infoHash } = planFor(volume.source));
    await volume.create(MADE, 'made');
    await volume.files.mkdir(...volume.place('T/d\udcff'), 0o755);
    await volume.rename('T/whole', MOVED);
  });
  afterEach(async () => {
    await volume.close();
  });

  const differences = async (): Promise<Difference[]> => await all(volume.store.differences(infoHash));
  const discard = async (...paths: string[]) => await volume.store.discard(infoHash, paths, volume.files.quiet);

  it('are listed as they are, also after a restart, and survive the way to a command', async () => {
    await volume.restart();
    const found = await differences();
    assert.deepEqual(
      found.map(({ path, changes, strays }) => [path.join('/'), changes, strays.map((stray) => stray.path.join('/'))]),
      [
        [MADE, ['made'], [MADE]],
        ['T/d\udcff', ['made'], ['T/d\udcff']],
        ['T/whole', ['moved'], [MOVED]],
      ],
    );
    assert.equal(JSON.parse(Buffer.from(JSON.stringify(MOVED)).toString()), MOVED);
  });

  it('are selected and discarded one by one', async () => {
    await assert.rejects(discard('T/caf\ufffd'), { code: 'NOT_FOUND' });
    assert.equal((await discard(MADE)).files, 1);
    assert.throws(() => volume.ino(MADE), { code: 'ENOENT' });
    assert.equal((await discard('T/d\udcff')).files, 2);
    assert.deepEqual(await differences(), []);
    assert.ok((await volume.read('T/whole')).equals(BASE['T/whole'] ?? Buffer.alloc(0)));
  });

  it('leave no whiteout behind when the file of the torrent is deleted under one', async () => {
    await volume.unlink(MOVED);
    assert.deepEqual(
      (await all(volume.store.whiteouts(infoHash))).map(({ path }) => path),
      [['T', 'whole']],
    );
    await volume.create('T/new\udcff', 'x');
    await volume.rename('T/new\udcff', 'T/whole');
    assert.equal((await volume.read('T/whole')).toString(), 'x');
  });

  it('are given to a command as they are printed, and to no other file', () => {
    const entry = { directory: '/store/E' } as ServedEntry;
    const difference = { path: MADE, named: [] as string[] } as unknown as ServedDifference;
    const shown = printable(MADE);
    assert.equal(shown, 'T/caf\\u{dce9}');
    assert.ok(means(shown, difference, entry));
    assert.ok(means(`/store/E/${shown}`, difference, entry));
    const literal = { ...difference, path: 'T/caf\\u{dce9}' };
    assert.ok(!means(shown, literal, entry));
    assert.ok(!means(printable(literal.path), difference, entry));
  });
});
