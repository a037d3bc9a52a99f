import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { exposureOf } from '../../src/clients/exposure.ts';
import type { ClientConfig } from '../../src/config/config.ts';

describe('a client that other users of this machine can give orders', () => {
  const open: readonly ClientConfig[] = [
    { client: 'rtorrent', url: 'scgi://127.0.0.1:5000' },
    { client: 'rtorrent', url: 'SCGI://localhost:5000/' },
    { client: 'rtorrent', url: 'scgi://[::1]:5000' },
    { client: 'rtorrent', url: 'http://127.0.0.1/RPC2' },
    { client: 'transmission', url: 'http://127.0.0.1:9091/transmission/rpc' },
    { client: 'transmission', url: 'http://127.0.0.1:9091', username: 'me', password: '' },
    { client: 'qbittorrent', url: 'http://me@localhost:8080' },
  ];
  const closed: readonly ClientConfig[] = [
    { client: 'rtorrent', url: 'scgi:///run/rtorrent/rpc.socket' },
    { client: 'rtorrent', url: 'scgi://nas:5000' },
    { client: 'rtorrent', url: 'http://me:secret@127.0.0.1/RPC2' },
    { client: 'transmission', url: 'http://127.0.0.1:9091', username: 'me', password: 'secret' },
    { client: 'transmission', url: 'http://nas:9091' },
    { client: 'qbittorrent', url: 'http://me:secret@127.0.0.1:8080' },
    { client: 'deluge', host: '127.0.0.1:58846' },
    { client: 'none' },
  ];
  for (const [configs, expected] of [
    [open, true],
    [closed, false],
  ] as const) {
    for (const config of configs) {
      it(`${expected ? 'is' : 'is not'} ${JSON.stringify(config)}`, () => {
        const said = exposureOf(config);
        assert.equal(said !== undefined, expected, said);
        if (expected) assert.match(said ?? '', /every user of this machine can/);
      });
    }
  }
});
