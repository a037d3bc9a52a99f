/** Transmission, for the suites that every client runs. */
import { createClient } from '../../../src/clients/create.ts';
import { accountOf } from '../../harness/account.ts';
import { startTransmission } from '../../harness/transmission.ts';
import type { Subject } from '../subject.ts';

export const subject: Subject = {
  name: 'Transmission',
  start: startTransmission,
  connect: (url, options) => createClient({ client: 'transmission', url }, options),
  connectLabelled: (url, label) => createClient({ client: 'transmission', url, label }),
  async labelOf(withAccount, infoHash) {
    const { url, authorization } = accountOf(withAccount);
    const session = (await fetch(url, { headers: { authorization } })).headers.get('x-transmission-session-id') ?? '';
    const reply = await fetch(url, {
      method: 'POST',
      headers: { authorization, 'x-transmission-session-id': session },
      body: JSON.stringify({ method: 'torrent-get', arguments: { fields: ['labels'], ids: [infoHash] } }),
    });
    // 3.00 spells characters beyond U+FFFF with five digits.
    const body = (await reply.text()).replaceAll(/\\u(1[0-9a-f]{4})/g, (_, hex: string) =>
      String.fromCodePoint(Number.parseInt(hex, 16)),
    );
    return (
      /"labels":\["(.*?)(?<!\\)"\]/
        .exec(body)?.[1]
        ?.replaceAll(/\\u([0-9a-f]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
        .replaceAll(/\\(.)/g, '$1') ?? ''
    );
  },
  deletesData: true,
  takesWord: 'never',
  inError: { says: /^No data found!/, file: 'gone' },
  unusualNames: [
    ['plain'],
    ['a:b?c*"<>|d', 'a_b_c_____d'],
    ['back\\slash', 'back_slash'],
    [' leading space', 'leading space'],
    ['trailing space ', 'trailing space'],
    ['trailing dots..', 'trailing dots'],
    ['-dash'],
    ['&amp;<b>]]>', '&amp;_b_]]_'],
    ['émoji 😀 é'],
    ['emoji 😀: é', 'emoji 😀_ é'],
    ['control \u0001 \t \r \n \u007f', 'control _ _ _ _ \u007f'],
    ['e\u0301 decomposed'],
    ['n'.repeat(255)],
  ],
};
