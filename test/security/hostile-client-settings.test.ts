/** A client's own settings file, which may belong to another user, keeps `init` neither busy nor in memory. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { findLocalClients, type LocalClient } from '../../src/clients/local-clients.ts';
import { temporaryFolder } from '../harness/folder.ts';

const MIB = 1024 * 1024;
const PLACES = {
  transmission: '.config/transmission-daemon/settings.json',
  deluge: '.config/deluge/core.conf',
  rtorrent: '.rtorrent.rc',
  qbittorrent: '.config/qBittorrent/qBittorrent.conf',
} as const;

async function found(client: keyof typeof PLACES, text: Buffer | string): Promise<LocalClient | undefined> {
  const home = temporaryFolder('home');
  const file = join(home, PLACES[client]);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  const start = performance.now();
  const clients = await findLocalClients({ home, root: home });
  assert.ok(performance.now() - start < 2000, `it took ${performance.now() - start} ms`);
  return clients.find((one) => one.client === client);
}

describe('settings of a client that are an attack', () => {
  for (const client of ['transmission', 'deluge'] as const) {
    for (const [name, text] of [
      ['lists in lists', Buffer.alloc(MIB, '[')],
      ['objects in objects', Buffer.alloc(MIB, '{"a":')],
      ['empty lists', `{"a":[${'[],'.repeat(300_000)}[]]}`],
      ['a prototype', '{"__proto__":{"rpc-port":1}}'],
      ['more than a MiB', Buffer.alloc(16 * MIB, ' ')],
      ['a number of a million digits', `{"rpc-port":${'9'.repeat(1_000_000)}}`],
    ] as const) {
      it(`are refused: ${name} for ${client}`, async () => {
        const before = client === 'deluge' ? '{"file":1}' : '';
        const one = await found(client, Buffer.concat([Buffer.from(before), Buffer.from(text)]));
        assert.match(one?.problem ?? '', /cannot be read: /);
        assert.deepEqual(one?.settings, {});
      });
    }
  }

  it('do not keep it busy with a line of blanks', async () => {
    const blanks = ' '.repeat(MIB - 200);
    const rtorrent = await found('rtorrent', `network.scgi.open_local = ${blanks}x\nscgi_port = 127.0.0.1:5000\n`);
    assert.deepEqual(rtorrent?.settings, { url: 'scgi://127.0.0.1:5000' });
    const qbittorrent = await found('qbittorrent', `[Preferences]\nWebUI\\Address=${blanks}x\nWebUI\\Port=81\n`);
    assert.equal(qbittorrent?.settings['url'], 'http://127.0.0.1:81');
  });
});
