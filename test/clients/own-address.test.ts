import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { listensItself } from '../../src/clients/own-address.ts';
import type { ClientConfig } from '../../src/config/config.ts';

describe('where nothing listens', () => {
  const ended: readonly ClientConfig[] = [
    { client: 'rtorrent', url: 'scgi:///run/rtorrent.socket' },
    { client: 'rtorrent', url: 'scgi://127.0.0.1:5000' },
    { client: 'rtorrent', url: 'SCGI://localhost:5000' },
    { client: 'deluge', host: '127.0.0.1:58846' },
    { client: 'deluge', host: 'localhost' },
    { client: 'deluge', host: '[::1]:58846' },
    { client: 'transmission', url: 'http://127.0.0.1:9091/transmission/rpc' },
    { client: 'transmission', url: 'http://me:secret@localhost:9091/transmission/rpc' },
    { client: 'qbittorrent', url: 'http://[::1]:8080' },
  ];
  const unknown: readonly ClientConfig[] = [
    { client: 'rtorrent', url: 'http://127.0.0.1:8000/RPC2' },
    { client: 'rtorrent', url: 'scgi://127.example.org:5000' },
    { client: 'rtorrent', url: 'scgi://nas:5000' },
    { client: 'deluge', url: 'http://127.0.0.1:8112' },
    { client: 'deluge', host: 'nas:58846' },
    { client: 'deluge', host: 'localhost.example.org' },
    { client: 'transmission', url: 'http://127.0.0.1/transmission/rpc' },
    { client: 'transmission', url: 'https://127.0.0.1:9091/transmission/rpc' },
    { client: 'qbittorrent', url: 'http://nas:8080' },
    { client: 'none' },
  ];
  for (const [configs, what, expected] of [
    [ended, 'the client has ended', true],
    [unknown, 'it may run all the same', false],
  ] as const) {
    for (const config of configs) {
      it(`${what}: ${JSON.stringify(config)}`, () => {
        assert.equal(listensItself(config), expected);
      });
    }
  }
});
