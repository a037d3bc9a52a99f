/** How an entry differs from what was planned, as the control socket carries it: lines, some thousand ranges in each. */

import type { DifferenceLine, DifferenceMessage } from '../control/messages.ts';
import type { Difference } from '../store/overlay/differences.ts';
import type { Store } from '../store/store.ts';

export async function* differenceLines(store: Store, infoHash: string): AsyncGenerator<DifferenceLine> {
  for await (const difference of store.differences(infoHash)) {
    let told = false;
    if (difference.changes.includes('written')) {
      for await (const ranges of store.writtenRanges(difference.ino)) {
        yield told ? { more_ranges: ranges } : messageOf(difference, ranges);
        told = true;
      }
    }
    if (!told) yield messageOf(difference, []);
  }
}

function messageOf(difference: Difference, ranges: DifferenceMessage['ranges']): DifferenceMessage {
  const { path, type, changes, size, plannedSize, baseSize, writtenBytes, strays } = difference;
  return {
    path: path.join('/'),
    type,
    changes,
    size,
    planned_size: plannedSize ?? null,
    base_size: baseSize,
    written_bytes: writtenBytes,
    ranges,
    named: changes.includes('moved') ? strays.map((stray) => stray.path.join('/')) : [],
  };
}
