import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { shownUrl, withoutUrls } from '../src/shown-url.ts';

describe('an address in a message', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['http://host:80/RPC2', 'http://host:80/RPC2'],
    ['scgi:///run/rtorrent.sock', 'scgi:///run/rtorrent.sock'],
    ['scgi://[::1]:5000', 'scgi://[::1]:5000'],
    ['127.0.0.1:58846', '127.0.0.1:58846'],
    ['localhost', 'localhost'],
    ['http://me:secret@host:80/RPC2', 'http://***@host:80/RPC2'],
    ['http://me:se/cr#et?@x@host/RPC2', 'http://***@host/RPC2'],
    ['http://me:12/34secret@host/RPC2', 'http://***@host/RPC2'],
    ['http:/me:secret@host', 'http:/***@host'],
    ['http:me:secret@host', 'http:***@host'],
    ['htp://me:secret@host', 'htp://***@host'],
    ['scgi://me:secret@host:5000', 'scgi://***@host:5000'],
    ['me:secret@127.0.0.1:58846', '***@127.0.0.1:58846'],
    ['http://me:secret', 'http://me:***'],
    ['http://me:secret/with/slash', 'http://me:***'],
    ['http://me:secret%40host:80', 'http://me:***'],
    ['me:secret', 'me:***'],
    ['http://host/a?token=secret', 'http://host/a?***'],
    ['http://host/a#secret', 'http://host/a#***'],
    [' http://me:secret@host ', 'http://***@host'],
    ['http:\\\\me:secret@host', 'http:\\\\***@host'],
    ['', ''],
  ];
  for (const [url, shown] of cases) it(`${JSON.stringify(url)} is ${shown}`, () => assert.equal(shownUrl(url), shown));

  it('has no secret, whatever stands around it', () => {
    const noise = fc.string({ unit: fc.constantFrom(...'a1:/@#?[]% \\.\n'.split('')) });
    fc.assert(
      fc.property(fc.constantFrom('http://', 'https:/', 'scgi://', '', 'x://'), noise, noise, (scheme, user, host) => {
        const name = user.replaceAll(/[@:]/g, '');
        assert.equal(shownUrl(`${scheme}${name}:SECRET${user}@${host}`).includes('SECRET'), false);
      }),
    );
  });
});

describe('what a client says', () => {
  const cases: readonly (readonly [string, string])[] = [
    [
      'Tracker: [Could not reach "https://t.example/0123KEY/announce"]',
      'Tracker: [Could not reach "https://t.example/…"]',
    ],
    ['udp://t.example:80/announce?passkey=KEY failed', 'udp://t.example:80/… failed'],
    ['http://me:KEY@t.example/a, http://b/KEY', 'http://***@t.example/… http://b/…'],
    ['No such file', 'No such file'],
    ['see http://host/', 'see http://host/'],
  ];
  for (const [said, shown] of cases) it(said, () => assert.equal(withoutUrls(said), shown));
});
