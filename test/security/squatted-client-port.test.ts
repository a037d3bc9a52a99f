/**
 * While a client of this machine is down, another user listens in its place, and waits for the first request: it has the
 * password, or a torrent with its passkeys. He gets not one byte, once the client was known.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import type { TorrentClient } from '../../src/clients/client.ts';
import { createClient } from '../../src/clients/create.ts';
import type { AutotorrentError } from '../../src/errors.ts';
import { freePort, waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { AS_OTHER_USER, NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';

const PASSWORD = 'hunter2';
/** The user whose program the client is. */
const MEDIA = 54322;

/** Listens at argv[1]:argv[2], or on the socket argv[1], and answers as each client does. Prints what it gets. */
const CLIENT = `
const [, place, port, refuses] = process.argv;
const http = (body, head = '') => 'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n' + head + 'Content-Length: ' + body.length + '\\r\\n\\r\\n' + body;
const answer = (text) => {
  if (/^\\d+:/.test(text)) {
    const xml = '<?xml version="1.0"?><methodResponse><params><param><value><string>0.9.8</string></value></param></params></methodResponse>';
    return 'Status: 200 OK\\r\\nContent-Length: ' + xml.length + '\\r\\n\\r\\n' + xml;
  }
  if (text.includes('/transmission/rpc'))
    return refuses ? 'HTTP/1.1 401 No\\r\\nContent-Length: 0\\r\\n\\r\\n'
      : http('{"result":"success","arguments":{"version":"3.00","rpc-version":16}}');
  if (text.includes('/auth/login')) return refuses ? http('Fails.') : http('Ok.', 'Set-Cookie: SID=a\\r\\n');
  if (text.includes('/api/v2')) return http(text.includes('webapiVersion') ? '2.8.19' : 'v4.5.2');
  const result = refuses ? 'false' : text.includes('"daemon.') ? '"2.0.3"' : 'true';
  return http('{"error":null,"id":1,"result":' + result + '}', 'Set-Cookie: _session_id=a\\r\\n');
};
const server = require('node:net').createServer((socket) => {
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    console.log('got ' + bytes.toString('hex'));
    text += bytes.toString('latin1');
    const length = Number(/content-length: (\\d+)/i.exec(text)?.[1] ?? 0);
    const end = text.indexOf('\\r\\n\\r\\n');
    if (/^\\d+:/.test(text) ? text.includes('</methodCall>') : end > 0 && text.length >= end + 4 + length) socket.end(answer(text));
  });
});
const ready = () => { if (port === '') require('node:fs').chmodSync(place, 0o777); console.log('listening'); };
if (port === '') server.listen(place, ready); else server.listen(Number(port), place, ready);`;

/** The system's: one that a user has installed is within nobody else's reach. */
const PYTHON = ['env', 'PATH=/usr/local/bin:/usr/bin:/bin', 'python3'] as const;

/** Listens, but accepts only once the connection has had a second to be used. The kernel shows no owner of it before. */
const LATE = `
import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2]))); s.listen(int(sys.argv[3])); print('listening', flush=True)
time.sleep(1)
s.settimeout(10)
while True:
    c, _ = s.accept(); c.settimeout(2)
    try:
        d = c.recv(65536)
        if d: print('got ' + d.hex(), flush=True)
    except OSError: pass
    c.close()`;

interface Program {
  got(): string;
  stop(): Promise<void>;
}

const running = new Set<Program>();

async function start(uid: number, command: string, ...args: readonly string[]): Promise<Program> {
  const [setpriv] = AS_OTHER_USER;
  const become = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', command, ...args];
  const child: ChildProcess = spawn(setpriv, become, { cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout?.on('data', (text: Buffer) => {
    printed += text.toString();
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  const program: Program = {
    got: () => {
      const all = [...printed.matchAll(/^got ([0-9a-f]*)$/gm)].map(([, hex = '']) => hex);
      return Buffer.from(all.join(''), 'hex').toString('latin1');
    },
    stop: async () => {
      running.delete(program);
      child.kill();
      await ended;
    },
  };
  running.add(program);
  await waitUntil('it listens', () => Promise.resolve(printed.includes('listening')));
  return program;
}

interface Place {
  readonly address: string;
  /** Empty for a unix socket. */
  readonly port: string;
}

const listen = (uid: number, { address, port }: Place, refuses = ''): Promise<Program> =>
  start(uid, process.execPath, '-e', CLIENT, address, port, refuses);

interface Subject {
  readonly name: string;
  client(place: Place, knownDaemons?: string): TorrentClient;
  /** It is not asked for a password, so it cannot refuse one. */
  readonly isOpen?: true;
}

const memory = (knownDaemons: string | undefined) => (knownDaemons === undefined ? {} : { knownDaemons });
const subjects: readonly Subject[] = [
  {
    name: 'Transmission',
    client: ({ address, port }, known) =>
      createClient({
        client: 'transmission',
        url: `http://${address}:${port}`,
        username: 'me',
        password: PASSWORD,
        ...memory(known),
      }),
  },
  {
    name: 'qBittorrent',
    client: ({ address, port }, known) =>
      createClient({
        client: 'qbittorrent',
        url: `http://${address}:${port}`,
        username: 'me',
        password: PASSWORD,
        ...memory(known),
      }),
  },
  {
    name: 'Deluge’s web interface',
    client: ({ address, port }, known) =>
      createClient({ client: 'deluge', url: `http://${address}:${port}`, password: PASSWORD, ...memory(known) }),
  },
  {
    name: 'rTorrent over TCP',
    isOpen: true,
    client: ({ address, port }, known) =>
      createClient({ client: 'rtorrent', url: `scgi://${address}:${port}`, ...memory(known) }),
  },
  {
    name: 'rTorrent on a unix socket',
    isOpen: true,
    client: ({ address }, known) => createClient({ client: 'rtorrent', url: `scgi://${address}`, ...memory(known) }),
  },
];

const refused =
  (squatter: Program, before = `user ${MEDIA}`) =>
  (error: AutotorrentError) => {
    assert.equal(error.code, 'CLIENT');
    assert.match(error.message, /another user's program than before, and was sent nothing/);
    assert.ok(error.message.includes(`of user ${OTHER_USER.uid}`) && error.message.includes(`was of ${before}`));
    assert.equal(squatter.got(), '', 'not a byte');
    return true;
  };

const state = (): string => join(temporaryFolder('state'), 'known_daemons');
const linesIn = (file: string): string[] =>
  existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];

describe('another user in the place of a client that is down', { skip: NEEDS_ROOT }, () => {
  afterEach(async () => {
    for (const program of running) await program.stop();
  });

  async function placeOf({ name }: Subject): Promise<Place> {
    if (!name.includes('unix')) return { address: '127.0.0.1', port: String(await freePort('127.0.0.1')) };
    const folder = temporaryFolder('sockets');
    chmodSync(folder, 0o777);
    return { address: join(folder, 'rt.sock'), port: '' };
  }
  const known = ({ address, port }: Place): string => (port === '' ? `unix:${address}` : `${address}:${port}`);

  for (const subject of subjects) {
    it(`gets nothing that is for ${subject.name}`, async () => {
      const place = await placeOf(subject);
      const file = state();
      const own = await listen(MEDIA, place);
      await subject.client(place, file).describe();
      await subject.client(place, file).describe();
      assert.deepEqual(linesIn(file), [`${known(place)} uid:${MEDIA}`], 'known from the first time on');
      assert.notEqual(own.got(), '');
      await own.stop();
      if (place.port === '') rmSync(place.address, { force: true });

      const squatter = await listen(OTHER_USER.uid, place);
      await assert.rejects(subject.client(place, file).describe(), refused(squatter));
      await assert.rejects(subject.client(place, file).describe(), (error: AutotorrentError) => {
        assert.ok(error.hint?.includes(`delete the line "${known(place)} uid:${MEDIA}" in ${file}`), error.hint);
        return refused(squatter)(error);
      });
      assert.deepEqual(linesIn(file), [`${known(place)} uid:${MEDIA}`]);
      // What the message says to do, for a client that has another user now.
      writeFileSync(file, '');
      await subject.client(place, file).describe();
      assert.deepEqual(linesIn(file), [`${known(place)} uid:${OTHER_USER.uid}`]);
      await squatter.stop();
      if (place.port === '') rmSync(place.address, { force: true });

      // This user, and root, need not be known.
      await listen(0, place);
      await subject.client(place, file).describe();
      await subject.client(place).describe();
      assert.deepEqual(linesIn(file), [`${known(place)} uid:${OTHER_USER.uid}`]);
    });

    it(`gets nothing where ${subject.name} is a program of this user`, async () => {
      const place = await placeOf(subject);
      const file = state();
      const own = await listen(0, place);
      // A connection that it had not accepted yet says nothing of who holds it.
      await waitUntil('it is known', async () => {
        await subject.client(place, file).describe();
        return linesIn(file).length > 0;
      });
      assert.deepEqual(linesIn(file), [`${known(place)} uid:0`]);
      await own.stop();
      if (place.port === '') rmSync(place.address, { force: true });
      const squatter = await listen(OTHER_USER.uid, place);
      await assert.rejects(subject.client(place, file).describe(), refused(squatter, 'root (0)'));
    });

    if (subject.isOpen !== true) {
      it(`is not remembered by a refusal of ${subject.name}’s password`, async () => {
        const place = await placeOf(subject);
        const file = state();
        await listen(OTHER_USER.uid, place, 'refuses');
        await assert.rejects(subject.client(place, file).describe(), { code: 'CLIENT' });
        assert.deepEqual(linesIn(file), []);
      });
    }
  }

  const [transmission] = subjects as readonly [Subject];

  it('is found on a socket for IPv6 that takes IPv4, too', async () => {
    const place = await placeOf(transmission);
    const file = state();
    writeFileSync(file, `${known(place)} uid:${MEDIA}\n`);
    const squatter = await listen(OTHER_USER.uid, { ...place, address: '::' });
    await assert.rejects(transmission.client(place, file).describe(), refused(squatter));
  });

  it('gets nothing over IPv6, nor under the name of this machine, nor the beginning of TLS', async () => {
    const { port } = await placeOf(transmission);
    const file = state();
    writeFileSync(file, ['[::1]', 'localhost'].map((host) => `${host}:${port} uid:${MEDIA}\n`).join(''));
    const squatter = await listen(OTHER_USER.uid, { address: '::1', port });
    const four = await listen(OTHER_USER.uid, { address: '127.0.0.1', port });
    for (const url of [`http://[::1]:${port}`, `http://localhost:${port}`, `https://localhost:${port}`]) {
      const client = createClient({ client: 'transmission', url, password: PASSWORD, knownDaemons: file });
      await assert.rejects(client.describe(), refused(squatter));
    }
    assert.equal(four.got(), '');
  });

  for (const backlog of ['5', '0']) {
    it(`gains nothing by accepting late, with a queue of ${backlog}`, async () => {
      const place = await placeOf(transmission);
      const file = state();
      writeFileSync(file, `${known(place)} uid:${MEDIA}\n`);
      const squatter = await start(OTHER_USER.uid, ...PYTHON, '-c', LATE, place.address, place.port, backlog);
      const asked = Array.from({ length: 4 }, () => transmission.client(place, file).describe());
      for (const result of await Promise.allSettled(asked)) assert.equal(result.status, 'rejected');
      await new Promise((resolve) => setTimeout(resolve, 2500));
      assert.equal(squatter.got(), '');
    });
  }
});
