/**
 * Returns the memory of a large request to the system. A server that rests afterwards makes no garbage, so that V8 would not collect
 * for hours what the request left.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collect: (() => void) | undefined;

/** Takes some tens of milliseconds. */
export function returnMemory(): void {
  if (collect === undefined) {
    // Node gives no other way to it at run time.
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
    setFlagsFromString('--no-expose-gc');
  }
  collect();
}
