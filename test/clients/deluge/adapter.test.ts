import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { deflateSync } from 'node:zlib';
import { ownPath } from '../../../src/clients/adding/names.ts';
import type { TorrentClient } from '../../../src/clients/client.ts';
import { createClient } from '../../../src/clients/create.ts';
import { connectDaemon } from '../../../src/clients/deluge/daemon.ts';
import { namesAgainstDuplicates } from '../../../src/clients/libtorrent/duplicates.ts';
import type { ClientOptions } from '../../../src/clients/wire/exchange.ts';
import { rencode } from '../../../src/clients/wire/rencode.ts';
import type { AutotorrentError } from '../../../src/errors.ts';
import { parseMetainfo } from '../../../src/metainfo/parse.ts';
import type { ClientDaemon } from '../../harness/client-daemon.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { startDeluge } from '../../harness/deluge.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { libtorrentOf } from '../../harness/libtorrent.ts';
import type { TorrentOptions } from '../../harness/make-torrent.ts';
import { DUPLICATES } from '../libtorrent/duplicates.ts';
import { addOne, bytes, lay, reaches, sample, stateOf } from '../steps.ts';
import { connect } from './subject.ts';

describe('what Deluge does in its own way', () => {
  let daemon: ClientDaemon;
  let folder: string;
  const client = (label?: string): TorrentClient => connect(daemon.url, {}, label);
  const clients: TorrentClient[] = [];
  const open = (label?: string): TorrentClient => {
    const one = client(label);
    clients.push(one);
    return one;
  };
  before(async () => {
    folder = temporaryFolder('deluge');
    daemon = await startDeluge();
  });
  after(async () => {
    for (const one of clients) await one.close();
    await daemon?.stop();
  });

  it('numbers the names that are one to it, as we reckon for qBittorrent', async () => {
    const lists = DUPLICATES.map(([paths]) => paths);
    // The same in every run.
    let state = 7;
    const any = (count: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return (state >> 8) % count;
    };
    const NAMES = ['a', 'A', 'b', 'B.1', 'b.1', 'a.1', 'A.TXT', 'a.txt', 'a.1.txt', '.x', '.X', 'é', 'É'];
    while (lists.length < 60) {
      const paths = Array.from({ length: 2 + any(7) }, () =>
        Array.from({ length: 1 + any(3) }, () => NAMES[any(NAMES.length)] ?? '').join('/'),
      );
      const isOfTwo = paths.some((path, i) => paths.some((other, j) => i !== j && `${other}/`.startsWith(`${path}/`)));
      if (!isOfTwo) lists.push(paths);
    }
    const torrents = lists.map((paths, i) =>
      sample({ name: `n${i}`, content: paths.map((path) => ({ path: path.split('/'), data: bytes(10, i) })) }),
    );
    const results = await open().add(torrents.map((metainfo) => ({ metainfo, directory: folder })));
    let renamed = 0;
    for (const [i, result] of results.entries()) {
      const metainfo = torrents[i];
      assert.ok(result.outcome === 'added' && metainfo !== undefined);
      const own = metainfo.files.map(({ length }, index) => ({ path: ownPath(metainfo, index), length }));
      const reckoned = namesAgainstDuplicates(metainfo, own);
      if (reckoned !== undefined) renamed++;
      assert.deepEqual(result.names, reckoned && own.map(({ path }, at) => reckoned[at] ?? path), lists[i]?.join(' '));
      const used = DUPLICATES[i]?.[1];
      if (used !== undefined)
        assert.deepEqual(
          (result.names ?? own.map(({ path }) => path)).map((path) => path.slice(1).join('/')),
          used,
        );
    }
    assert.ok(renamed > 20, `${renamed} of them have names that are one`);
  });

  it('says what is wrong with a login', async () => {
    const { host, username } = new URL(daemon.url);
    for (const [config, message] of [
      [{ host, username, password: 'hunter2' }, /refused the user name and password/],
      [{ host, username: 'nobody', password: 'hunter2' }, /refused the user name and password/],
    ] as const) {
      await assert.rejects(
        createClient({ client: 'deluge', ...config }).describe(),
        (error: Error & { code?: unknown }) => {
          assert.equal(error.code, 'CLIENT');
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /hunter2/);
          return true;
        },
      );
    }
  });

  it('lets in whoever can read its auth file, as its own programs do', async () => {
    const { host, password } = new URL(daemon.url);
    const home = join(folder, 'xdg');
    await mkdir(join(home, 'deluge'), { recursive: true });
    const before = process.env['XDG_CONFIG_HOME'];
    process.env['XDG_CONFIG_HOME'] = home;
    try {
      const one = createClient({ client: 'deluge', host });
      await assert.rejects(one.describe(), { code: 'CLIENT', message: /wants a user name and a password/ });
      await writeFile(join(home, 'deluge', 'auth'), `localclient:${password}:10\n`);
      assert.match((await one.describe()).version, /^\d/);
      await one.close();
    } finally {
      if (before === undefined) delete process.env['XDG_CONFIG_HOME'];
      else process.env['XDG_CONFIG_HOME'] = before;
    }
  });

  it('goes on to the next auth file where one is not that of this daemon', async () => {
    const { host, password } = new URL(daemon.url);
    const [other, none, own] = ['other', 'none', 'own'].map((name) => join(folder, `auth-${name}`));
    assert.ok(other && none && own);
    await writeFile(other, 'localclient:hunter2:10\n');
    await writeFile(own, `localclient:${password}:10\n`);
    const ask = async (...files: string[]): Promise<unknown> => {
      const rpc = connectDaemon({ host }, {}, () => files);
      try {
        return (await rpc.calls([{ method: 'daemon.get_version', args: [] }]))[0];
      } finally {
        await rpc.close();
      }
    };
    assert.deepEqual(Object.keys(Object(await ask(other, own))), ['result']);
    // A folder cannot be read as a file, whoever asks.
    assert.deepEqual(Object.keys(Object(await ask(folder, none, own))), ['result']);
    await assert.rejects(ask(none, other, folder), { code: 'CLIENT', message: /refused the user name and password/ });
    await assert.rejects(ask(none, folder), (error: AutotorrentError) => {
      assert.match(error.message, /wants a user name and a password/);
      assert.match(
        error.hint ?? '',
        /Add username and password .*auth-none is not there; .* cannot be read \(it is a folder, not a file\)/,
      );
      return true;
    });
  });

  it('refuses addresses and labels that it cannot use', () => {
    for (const host of ['', 'a b', 'http://127.0.0.1', '127.0.0.1:99999', 'x:1:2']) {
      assert.throws(() => createClient({ client: 'deluge', host }), { code: 'CONFIG' }, host);
    }
    for (const url of ['', '127.0.0.1:8112', 'scgi://x']) {
      assert.throws(() => createClient({ client: 'deluge', url }), { code: 'CONFIG' }, url);
    }
    assert.throws(() => createClient({ client: 'deluge', host: 'h', label: '日本' }), {
      code: 'CONFIG',
      message: /label/,
    });
  });

  it('takes no word for a torrent whose files it looks for under other names', () => {
    assert.equal(client().takesWord(sample({ name: 'back\\slash', content: bytes(5, 1) }), true), false);
  });

  for (const version of ['v2', 'hybrid'] as const) {
    it(`takes ${version} torrents`, async () => {
      const one = open();
      const name = `release ${version}`;
      const place = join(folder, version);
      await mkdir(join(place, name, 'sub'), { recursive: true });
      const files = { 'a.bin': bytes(70_000, 1), 'b.bin': bytes(40_001, 2), 'sub/c.bin': bytes(5, 3) };
      for (const [path, data] of Object.entries(files)) await writeFile(join(place, name, path), data);
      const metainfo = parseMetainfo(libtorrentOf(join(place, name), version, 16_384));
      assert.deepEqual(await addOne(one, { metainfo, directory: place }), { outcome: 'added' });
      const { infoHash } = metainfo;
      assert.equal((await stateOf(one, infoHash)).infoHash, infoHash);
      assert.deepEqual(await one.start([infoHash]), [infoHash]);
      await reaches(one, infoHash, 'seeding');
      assert.deepEqual(await addOne(open(), { metainfo, directory: place }), { outcome: 'exists' });
      // Another process knows the entry, and by it both hashes.
      const other = open();
      other.introduce?.([{ infoHash, infoHashV2: metainfo.infoHashV2 ?? '' }]);
      assert.equal((await stateOf(other, infoHash)).infoHash, infoHash);
      assert.ok((await other.list()).some((state) => state.infoHash === infoHash));
      assert.deepEqual(await one.stop([infoHash]), [infoHash]);
      assert.deepEqual(await one.remove([infoHash]), [infoHash]);
    });
  }

  it('seeds again what it had in error, when it is started', async () => {
    const one = open();
    const options: TorrentOptions = { name: 'away', content: bytes(100_000, 8) };
    const metainfo = sample(options);
    const directory = join(folder, 'away');
    const resume = {
      files: [{ state: 'known' as const, mtimeMs: 0 }],
      verified: Buffer.alloc(1, 0xff),
      gaps: Buffer.alloc(1),
    };
    await addOne(one, { metainfo, directory, resume });
    // Not started: a start of what is in error already would check it, and download it.
    assert.match((await reaches(one, metainfo.infoHash, 'error')).message ?? '', /./);
    await lay(directory, options);
    await one.start([metainfo.infoHash]);
    assert.equal((await reaches(one, metainfo.infoHash, 'seeding')).progress, 1);
  });
});

describe('a web interface of Deluge', () => {
  it('says that its password is wrong, and that its daemon is gone', async () => {
    const daemon = await startDeluge({ web: true });
    try {
      const wrong = new URL(daemon.url);
      wrong.password = 'hunter2';
      await assert.rejects(connect(wrong.href).describe(), (error: Error & { code?: unknown }) => {
        assert.equal(error.code, 'CLIENT');
        assert.match(error.message, /refused the password of its web interface/);
        assert.doesNotMatch(error.message, /hunter2/);
        return true;
      });
      process.kill(daemon.pid, 'SIGTERM');
      const gone = { code: 'CLIENT', message: /cannot connect to its daemon/ };
      await waitUntil('the daemon is gone', () =>
        connect(daemon.url)
          .describe()
          .then(
            () => false,
            () => true,
          ),
      );
      await assert.rejects(connect(daemon.url).describe(), gone);
    } finally {
      await daemon.stop();
    }
  });
});

describe('a Deluge daemon that is something else', () => {
  let folder: string;
  let key: Buffer;
  let cert: Buffer;
  const open: { close(): void }[] = [];
  const sockets = new Set<Socket>();
  before(async () => {
    folder = temporaryFolder('tls');
    const [keyFile, certFile] = [join(folder, 'key'), join(folder, 'cert')];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-keyout',
        keyFile,
        '-out',
        certFile,
        '-days',
        '2',
        '-subj',
        '/CN=x',
      ],
      { stdio: 'ignore' },
    );
    key = await readFile(keyFile);
    cert = await readFile(certFile);
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    for (const server of open) server.close();
  });

  const asked = async (onData: (socket: TLSSocket) => void, options: ClientOptions = {}): Promise<unknown> => {
    const server = createTlsServer({ key, cert }, (socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('data', () => onData(socket));
    });
    open.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const host = `127.0.0.1:${address.port}`;
    return await createClient({ client: 'deluge', host, username: 'u', password: 'hunter2' }, options).describe();
  };
  const frame = (body: Buffer, length = body.length): Buffer => {
    const header = Buffer.alloc(5, 1);
    header.writeUInt32BE(length, 1);
    return Buffer.concat([header, body]);
  };
  const cases: readonly (readonly [string, RegExp, (socket: TLSSocket) => void, ClientOptions?])[] = [
    ['an HTTP server', /not the protocol of a Deluge 2/, (s) => s.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['one that hangs up', /closed the connection before/, (s) => s.destroy()],
    ['one that says nothing', /did not answer within 0\.2 s/, () => {}, { timeoutMs: 200 }],
    ['a frame that is cut off', /closed the connection before/, (s) => s.end(frame(Buffer.from('abc'), 50))],
    [
      'a frame without an end',
      /did not answer within 0\.2 s/,
      (s) => s.write(frame(Buffer.from('abc'), 50)),
      { timeoutMs: 200 },
    ],
    [
      'one that trickles',
      /did not answer within 0\.3 s/,
      (s) => {
        s.write(frame(Buffer.from('abc'), 50));
        const timer = setInterval(() => s.write('x'), 50);
        s.once('close', () => clearInterval(timer));
      },
      { timeoutMs: 300 },
    ],
    ['a length that lies', /answered with more than/, (s) => s.write(frame(Buffer.alloc(0), 0xffffffff))],
    ['no zlib', /not the protocol of a Deluge 2/, (s) => s.write(frame(Buffer.from('garbage')))],
    ['no rencode', /not the protocol of a Deluge 2/, (s) => s.write(frame(deflateSync(Buffer.from([0xff, 0xff]))))],
    ['another answer', /not the protocol of a Deluge 2/, (s) => s.write(frame(deflateSync(rencode([1, 99, 'x']))))],
    [
      'a bomb',
      /answered with more than 10000 bytes/,
      (s) => s.write(frame(deflateSync(Buffer.alloc(50_000_000)))),
      { maxReplyBytes: 10_000 },
    ],
  ];
  for (const [name, message, listener, options] of cases) {
    it(`is told: ${name}`, async () => {
      await assert.rejects(asked(listener, options), (error: Error & { code?: unknown }) => {
        assert.equal(error.code, 'CLIENT');
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /hunter2/);
        return true;
      });
    });
  }

  it('is told: no TLS', async () => {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.end('SSH-2.0-OpenSSH\r\n');
    });
    open.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const one = createClient({ client: 'deluge', host: `127.0.0.1:${address.port}`, username: 'u', password: 'p' });
    await assert.rejects(one.describe(), { code: 'CLIENT', message: /does not speak TLS: it is no Deluge daemon/ });
  });
});
