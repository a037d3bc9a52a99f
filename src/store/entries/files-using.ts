/** Lists the files of an entry that sources supply. */
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

/** In pages, in the torrent's order. `sources`: those of interest, by id. */
export async function* filesUsing(
  { db, tree }: { readonly db: Database; readonly tree: Tree },
  sources: { has(id: number): boolean },
  entry: number,
): AsyncGenerator<UsingFile[], void, undefined> {
  for await (const page of db.pages(filesOf(entry), PAGE)) {
    const files = page.map(([key, value]) => ({ index: lastNumber(key), ino: decodeFile(value).ino }));
    const using = files.filter(({ ino }) => [...tree.sources(ino)].some((id) => sources.has(id)));
    if (using.length > 0) yield using;
  }
}
