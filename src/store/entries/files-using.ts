/** Lists the files of an entry that a source supplies. */
import type { Database } from '../records/database.ts';
import { filesOf, lastNumber } from '../records/key.ts';
import { decodeFile } from '../records/record.ts';
import type { Tree } from '../tree/tree.ts';

export interface UsingFile {
  /** Its place in the torrent's list. */
  readonly index: number;
  readonly ino: number;
}

/** Files examined between two turns of the event loop. */
const PAGE = 100;

/** In pages, in the torrent's order. */
export async function* filesUsing(
  { db, tree }: { readonly db: Database; readonly tree: Tree },
  source: number,
  entry: number,
): AsyncGenerator<UsingFile[], void, undefined> {
  for await (const page of db.pages(filesOf(entry), PAGE)) {
    const files = page.map(([key, value]) => ({ index: lastNumber(key), ino: decodeFile(value).ino }));
    const using = files.filter(({ ino }) => tree.sources(ino).has(source));
    if (using.length > 0) yield using;
  }
}
