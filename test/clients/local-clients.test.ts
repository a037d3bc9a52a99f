import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, it } from 'node:test';
import { findLocalClients } from '../../src/clients/local-clients.ts';
import { scgiPlaceOf } from '../../src/clients/rtorrent/rc.ts';
import { temporaryFolder } from '../harness/folder.ts';

describe('where an rtorrent.rc has rTorrent listen', () => {
  const cases: readonly (readonly [string, string, string | undefined])[] = [
    ['a socket', 'network.scgi.open_local = /run/rtorrent/rpc.socket', 'local /run/rtorrent/rpc.socket'],
    ['a port, as of old', ' scgi_port=127.0.0.1:5000 ', 'port 127.0.0.1:5000'],
    ['a quoted path', String.raw`scgi_local = "/home/my \"own\"/rpc"`, 'local /home/my "own"/rpc'],
    ['a comment alone', '# network.scgi.open_port = 127.0.0.1:5000', undefined],
    [
      'the session folder and a name',
      'session.path.set = /home/user/.session/\nnetwork.scgi.open_local = (cat,(session.path),rpc.socket)',
      'local /home/user/.session/rpc.socket',
    ],
    [
      'names that the file itself defines',
      'method.insert = cfg.basedir, private|const|string, (cat,"/home/user/rtorrent/")\n' +
        'method.insert = cfg.session, private|const|string, (cat,(cfg.basedir),".session/")\n' +
        'network.scgi.open_local = (cat,(cfg.session),rpc.socket)',
      'local /home/user/rtorrent/.session/rpc.socket',
    ],
    ['what it computes otherwise', 'network.scgi.open_local = (cat,(system.env,HOME),/rpc)', 'local undefined'],
    ['an expression that is cut off', 'network.scgi.open_local = (cat,"/a"', 'local undefined'],
  ];
  for (const [name, text, wanted] of cases) {
    it(name, () => {
      const place = scgiPlaceOf(text);
      assert.equal(place === undefined ? undefined : `${place.kind} ${place.value}`, wanted);
    });
  }
});

describe('the clients of this machine', () => {
  let base: string;
  let folders = 0;
  before(async () => {
    base = temporaryFolder('local');
  });

  /** Writes these files and gives what is found by them. */
  const found = async (files: Readonly<Record<string, string>>): Promise<Record<string, unknown>> => {
    const root = join(base, `${++folders}`);
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    const clients = await findLocalClients({ home: join(root, 'home'), root });
    return Object.fromEntries(
      clients.map(({ client, settings, wantsPassword, problem }) => [
        client,
        problem ?? (wantsPassword ? { ...settings, '?': 'password' } : settings),
      ]),
    );
  };

  it('are none where no file is', async () => {
    assert.deepEqual(await found({}), {});
  });

  it('are all four of a user', async () => {
    assert.deepEqual(
      await found({
        'home/.rtorrent.rc': 'scgi_local = ~/rpc.socket',
        'home/.config/deluge/core.conf': '{\n"file": 1,\n"format": 1\n}{\n"daemon_port": 58999\n}',
        'home/.config/deluge/auth': '# accounts\nme:mine:10\nlocalclient:0123abcd:10\n',
        'home/.config/transmission-daemon/settings.json': '{"rpc-port": 9092, "rpc-authentication-required": false}',
        'home/.config/qBittorrent/qBittorrent.conf':
          '[LegalNotice]\nAccepted=true\n[Preferences]\nWebUI\\Port=8090\nWebUI\\LocalHostAuth=false\n',
      }),
      {
        rtorrent: { url: `scgi://${join(base, `${folders}`, 'home/rpc.socket')}` },
        deluge: { host: '127.0.0.1:58999', username: 'localclient', password: '0123abcd' },
        transmission: { url: 'http://127.0.0.1:9092/transmission/rpc' },
        qbittorrent: { url: 'http://127.0.0.1:8090' },
      },
    );
  });

  it('are those that Debian installs as services', async () => {
    assert.deepEqual(
      await found({
        'etc/transmission-daemon/settings.json': JSON.stringify({
          'rpc-enabled': true,
          'rpc-authentication-required': true,
          'rpc-bind-address': '0.0.0.0',
          'rpc-username': 'transmission',
          'rpc-password': '{9bd4eb4d1eb7b8b5cfb3b7ee3d37d2f9dd3a1c9aQv1ZzZzZ',
        }),
        'var/lib/deluged/config/core.conf': '{"file": 1,"format": 1}{}',
        'var/lib/deluged/config/auth': 'localclient:ff:10\n',
      }),
      {
        deluge: { host: '127.0.0.1:58846', username: 'localclient', password: 'ff' },
        transmission: { url: 'http://127.0.0.1:9091/transmission/rpc', username: 'transmission', '?': 'password' },
      },
    );
  });

  it('are told apart from what cannot be used', async () => {
    const told = await found({
      'home/.rtorrent.rc': 'directory = /x',
      'home/.config/deluge/core.conf': 'garbage',
      'home/.config/transmission-daemon/settings.json': '{"rpc-enabled": false}',
      'home/.config/qBittorrent/qBittorrent.conf': '[Preferences]\nWebUI\\Enabled=false\n',
    });
    assert.match(String(told['rtorrent']), /opens no SCGI endpoint: add network.scgi.open_local/);
    assert.match(String(told['deluge']), /core\.conf cannot be read: its format is not the expected one/);
    assert.match(String(told['transmission']), /rpc-enabled is false/);
    assert.match(String(told['qbittorrent']), /web interface is off/);
  });

  it('have a password where their file holds it, and the one that everyone knows', async () => {
    assert.deepEqual(
      await found({
        'home/.config/transmission/settings.json':
          '{"rpc-authentication-required": true, "rpc-username": "me", "rpc-password": "pl%in", "rpc-url": "/t"}',
        'home/.config/qBittorrent/qBittorrent.conf': '[Preferences]\nWebUI\\Address=::1\nWebUI\\HTTPS\\Enabled=true\n',
      }),
      {
        transmission: { url: 'http://127.0.0.1:9091/t/rpc', username: 'me', password: 'pl%in' },
        qbittorrent: { url: 'https://[::1]:8080', username: 'admin', password: 'adminadmin' },
      },
    );
  });
});
