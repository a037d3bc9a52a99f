/** rTorrent, for the suites that every client runs. */
import { createClient } from '../../../src/clients/create.ts';
import { connectRtorrent } from '../../../src/clients/rtorrent/rpc.ts';
import { startRtorrent } from '../../harness/rtorrent.ts';
import type { Subject } from '../subject.ts';

export const subject: Subject = {
  name: 'rTorrent',
  start: startRtorrent,
  connect: (url, options) => createClient({ client: 'rtorrent', url }, options),
  connectLabelled: (url, label) => createClient({ client: 'rtorrent', url, label }),
  async labelOf(url, infoHash) {
    const custom = await connectRtorrent(url, {}).call('d.custom1', [infoHash.toUpperCase()]);
    return decodeURIComponent(String(custom));
  },
  deletesData: false,
  takesWord: 'with gaps',
  inError: { says: /^its check failed: it could not open or read a file$/, file: 'a folder' },
  unusualNames: [
    ['plain'],
    ['a:b?c*"<>|d'],
    ['back\\slash'],
    [' leading space'],
    ['trailing space '],
    ['trailing dots..'],
    ['-dash'],
    ['&amp;<b>]]>'],
    ['émoji 😀 é'],
    ['control \u0001 \t \r \n \u007f'],
    ['e\u0301 decomposed'],
    ['n'.repeat(255)],
  ],
};
