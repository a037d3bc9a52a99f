/** Lists how an entry differs from its plan, in parts of some thousand ranges each. */

import type { DifferencePart, Ranges, ServedDifference } from '../control/served.ts';
import type { Difference } from '../store/overlay/differences.ts';
import type { Store } from '../store/store.ts';

export async function* differencesOf(store: Store, infoHash: string): AsyncGenerator<DifferencePart> {
  for await (const difference of store.differences(infoHash)) {
    let told = false;
    if (difference.changes.includes('written')) {
      for await (const ranges of store.writtenRanges(difference.ino)) {
        yield told ? { moreRanges: ranges } : served(difference, ranges);
        told = true;
      }
    }
    if (!told) yield served(difference, []);
  }
}

function served(difference: Difference, ranges: Ranges): ServedDifference {
  const { path, type, changes, size, plannedSize, baseSize, writtenBytes, strays } = difference;
  return {
    path: path.join('/'),
    type,
    changes,
    size,
    plannedSize,
    baseSize,
    writtenBytes,
    ranges,
    named: changes.includes('moved') ? strays.map((stray) => stray.path.join('/')) : [],
  };
}
