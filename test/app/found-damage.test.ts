import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { EntryLayout } from '../../src/app/entry-layout.ts';
import { FoundDamage } from '../../src/app/found-damage.ts';
import type { ServedExtent, ServedFile } from '../../src/control/served.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { identityAt } from '../harness/plans.ts';

const PIECE = 16_384;

it('what is damaged are the files of a wrong piece as they were hashed, unless a client has written a part of it', () => {
  const folder = temporaryFolder('found-damage');
  const [film, overlay] = ['film', 'overlay'].map((name) => join(folder, name)) as [string, string];
  for (const path of [film, overlay]) writeFileSync(path, randomBytes(4 * PIECE));
  const { raw } = makeTorrent({ name: 'film', content: randomBytes(4 * PIECE), pieceLength: PIECE });
  const part = (kind: 'source' | 'overlay', path: string, offset: number, length: number): ServedExtent => ({
    kind,
    offset,
    length,
    source: Buffer.from(path),
    sourceOffset: offset,
  });
  // A client has written the end of piece 2, and piece 3.
  const extents = [part('source', film, 0, 3 * PIECE - 10), part('overlay', overlay, 3 * PIECE - 10, PIECE + 10)];
  const file = { path: 'film', length: 4 * PIECE, extents } as unknown as ServedFile;
  const layout = new EntryLayout(parseMetainfo(raw), [file], anywhere());
  const damage = new FoundDamage(layout);
  for (const piece of [0, 1, 2, 3]) {
    assert.ok(layout.checks(piece));
    damage.wrong(piece);
  }
  assert.deepEqual(damage.pieces, [0, 1, 2, 3]);
  const found = { path: Buffer.from(film), reason: 'does not hold the bytes of 2 pieces' };
  assert.deepEqual(damage.sources(), [{ ...found, hashed: { pieces: [0, 1], file: identityAt(film) } }]);
});
