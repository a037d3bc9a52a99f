import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ownAuthFiles } from '../../../src/clients/deluge/account.ts';
import { isOwnHost, reachedAt } from '../../../src/clients/wire/own-host.ts';

describe('which hosts are this machine', () => {
  const own = ['localhost', 'LOCALHOST', 'localhost.', '127.0.0.1', '127.0.0.2', '127.1.2.3', '::1', '[::1]'];
  const others = [
    '',
    'nas',
    '127.example.org',
    'localhost.example.org',
    '1127.0.0.1',
    '127.0.0.1.example.org',
    '::',
    '10.0.0.1',
  ];
  it('is the same for everyone who asks', () => {
    for (const host of own) assert.equal(isOwnHost(host), true, host);
    for (const host of others) assert.equal(isOwnHost(host), false, host);
  });

  it('a Deluge at any of its addresses lets in whoever can read its auth file', () => {
    for (const host of own) assert.equal(ownAuthFiles(host).length, 2, host);
    for (const host of others) assert.deepEqual(ownAuthFiles(host), [], host);
  });
});

describe('where a program is reached', () => {
  for (const [address, host] of [
    [undefined, '127.0.0.1'],
    ['*', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
    ['::', '127.0.0.1'],
    ['192.168.1.2', '192.168.1.2'],
    ['fe80::1', '[fe80::1]'],
    ['[::1]', '[::1]'],
  ] as const) {
    it(`that listens at ${address ?? 'nothing in particular'}`, () => {
      assert.equal(reachedAt(address), host);
    });
  }
});
