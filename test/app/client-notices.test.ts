import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientNotices } from '../../src/app/client-notices.ts';

test('a password that crosses the network unencrypted is warned of, without showing it', () => {
  const notices = clientNotices({
    client: 'transmission',
    url: 'http://nas:9091/x',
    username: 'u',
    password: 'hunter2',
  });
  assert.match(notices.join(), /http:\/\/nas…: the password crosses the network/);
  assert.doesNotMatch(notices.join(), /hunter2/);
  assert.equal(clientNotices({ client: 'rtorrent', url: 'http://me:hunter2@nas/RPC2' }).length, 1);
});

test('no other address is warned of', () => {
  for (const url of ['https://nas:9091/x', 'http://127.0.0.1:9091/x', 'http://[::1]:9091/x', 'http://localhost/']) {
    assert.deepEqual(clientNotices({ client: 'transmission', url, password: 'p' }), [], url);
  }
  assert.deepEqual(clientNotices({ client: 'transmission', url: 'http://nas:9091/x' }), []);
  assert.deepEqual(clientNotices({ client: 'rtorrent', url: 'scgi:///run/rtorrent.sock' }), []);
  assert.deepEqual(clientNotices({ client: 'deluge', host: 'nas', username: 'u', password: 'p' }), []);
  assert.deepEqual(clientNotices({ client: 'none' }), []);
  assert.deepEqual(clientNotices(undefined), []);
});
