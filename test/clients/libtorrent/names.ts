/** Names of files in a torrent, each with the name that libtorrent uses where it is another. */
import type { Subject } from '../subject.ts';

export const LIBTORRENT_NAMES: Subject['unusualNames'] = [
  ['plain'],
  ['a:b?c*"<>|d'],
  ['back\\slash', 'backslash'],
  [' leading space'],
  ['trailing space '],
  ['trailing dots..'],
  ['-dash'],
  ['&amp;<b>]]>'],
  ['émoji 😀 é'],
  ['control \u0001 \t \r \n \u007f', 'control _ _ _ _ \u007f'],
  ['e\u0301 decomposed'],
  // libtorrent keeps 240 bytes of a name.
  ['n'.repeat(255), 'n'.repeat(240)],
];
