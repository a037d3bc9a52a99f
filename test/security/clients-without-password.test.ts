/**
 * Another user gives orders to the clients that the tests, the benchmarks and the quickstart start: whoever can do that has
 * programs run as the user who started them.
 */
import assert from 'node:assert/strict';
import { chmod, readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connectDaemon } from '../../src/clients/deluge/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { asOtherUser, NEEDS_ROOT } from '../harness/other-user.ts';
import { CLIENT_KINDS, type Member, startMember } from '../harness/swarm.ts';

/** Asks rTorrent to run a program: at `$1`, a socket or host:port; `$2` is the file that it is to make. */
const EXECUTE = `python3 - "$1" "$2" <<'PYTHON'
import socket, sys
place, marker = sys.argv[1:]
s = socket.socket(socket.AF_UNIX if place.startswith('/') else socket.AF_INET)
host, _, port = place.rpartition(':')
s.connect(place if place.startswith('/') else (host, int(port)))
values = ''.join('<param><value><string>%s</string></value></param>' % v for v in ('', 'touch', marker))
body = '<?xml version="1.0"?><methodCall><methodName>execute.throw</methodName><params>%s</params></methodCall>' % values
head = 'CONTENT_LENGTH\\0%d\\0SCGI\\0001\\0' % len(body)
s.sendall(('%d:%s,%s' % (len(head), head, body)).encode())
print(s.recv(4096))
PYTHON`;

/** Prints the status of a request without a password; a Transmission gets the session that it asks for. */
const REQUEST = `python3 - "$1" <<'PYTHON'
import sys, urllib.error, urllib.request
headers = {}
for _ in range(2):
    try:
        print(urllib.request.urlopen(urllib.request.Request(sys.argv[1], b'{"method":"session-get"}' if 'rpc' in sys.argv[1] else None, headers)).status)
    except urllib.error.HTTPError as error:
        if error.code == 409 and not headers:
            headers = {'X-Transmission-Session-Id': error.headers['X-Transmission-Session-Id']}
            continue
        print(error.code)
    break
PYTHON`;

describe('a client that was started for a test', { skip: NEEDS_ROOT }, () => {
  const members: Member[] = [];
  const of = (kind: Member['kind']): Member => members.find((one) => one.kind === kind) ?? assert.fail(kind);
  before(async () => {
    for (const [i, kind] of CLIENT_KINDS.entries()) members.push(await startMember(kind, `127.0.0.${110 + i}`));
  });
  after(async () => {
    for (const { client, daemon } of members) {
      await client.close();
      await daemon.stop();
    }
  });

  it('runs no program for another user: rTorrent', async () => {
    const folder = temporaryFolder('executed');
    await chmod(folder, 0o777);
    const marker = join(folder, 'made by root');
    const place = of('rtorrent').daemon.url.slice('scgi://'.length);
    const { code, stderr } = await asOtherUser(EXECUTE, place, marker);
    await assert.rejects(stat(marker), { code: 'ENOENT' });
    assert.notEqual(code, 0);
    assert.match(stderr, /PermissionError/);
  });

  for (const [kind, path, status] of [
    ['transmission', '', '401'],
    ['qbittorrent', '/api/v2/app/preferences', '403'],
  ] as const) {
    it(`answers no request without its password: ${kind}`, async () => {
      const url = `${of(kind).daemon.url.replace(/\/\/[^/]*@/, '//')}${path}`;
      assert.equal((await asOtherUser(REQUEST, url)).stdout.trim(), status);
    });
  }

  it('answers no request without its password: deluge', async () => {
    const rpc = connectDaemon({ host: new URL(of('deluge').daemon.url).host }, {}, () => []);
    try {
      await assert.rejects(rpc.calls([{ method: 'core.get_config', args: [] }]), /wants a user name and a password/);
    } finally {
      await rpc.close();
    }
  });

  it('lets nobody into its folder, where its password is', async () => {
    for (const { daemon, kind } of members) {
      assert.equal((await stat(daemon.folder)).mode & 0o777, 0o700, kind);
      assert.equal((await asOtherUser('ls "$1"', daemon.folder)).stdout, '', kind);
      for (const name of await readdir(daemon.folder, { recursive: true })) {
        const reading = await asOtherUser('cat "$1"', join(daemon.folder, name));
        assert.deepEqual([reading.code !== 0, reading.stdout], [true, ''], `${kind}: ${name}`);
      }
    }
  });

  it('does not show its password among the arguments of its process', async () => {
    const passwords = members.map(({ daemon }) => new URL(daemon.url).password).filter((one) => one !== '');
    assert.equal(new Set(passwords).size, 3);
    const { stdout } = await asOtherUser('cat /proc/[0-9]*/cmdline /proc/[0-9]*/comm 2>/dev/null | tr "\\0" " "');
    for (const { daemon } of members) assert.match(stdout, new RegExp(daemon.folder));
    for (const password of passwords) assert.ok(password.length > 30 && !stdout.includes(password));
  });

  it('listens at loopback addresses alone, and rTorrent only for peers', async () => {
    for (const { daemon, kind } of members) {
      const listening = await tcpOf(daemon.pid);
      for (const address of listening) assert.match(address, /^(127\.|\[::1\])/, `${kind}: ${address}`);
      if (kind === 'rtorrent') assert.deepEqual(listening, [`${daemon.address}:${daemon.peerPort}`]);
    }
  });
});

/** The tcp addresses at which a process listens. */
async function tcpOf(pid: number): Promise<string[]> {
  const sockets = new Set<string>();
  for (const name of await readdir(`/proc/${pid}/fd`)) {
    const target = await readlink(`/proc/${pid}/fd/${name}`).catch(() => '');
    const [, inode] = /^socket:\[(\d+)\]$/.exec(target) ?? [];
    if (inode !== undefined) sockets.add(inode);
  }
  const LISTEN = '0A';
  const lines = (await readFile(`/proc/${pid}/net/tcp`, 'utf8')) + (await readFile(`/proc/${pid}/net/tcp6`, 'utf8'));
  return lines.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    return state === LISTEN && sockets.has(inode) ? [shown(local)] : [];
  });
}

/** `0100007F:1F90`: the address in words of four bytes, each in the order of this machine. */
function shown(local: string): string {
  const [hex = '', port = ''] = local.split(':');
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) => [...Buffer.from(word, 'hex')].toReversed());
  const number = Number.parseInt(port, 16);
  // An IPv4 address, also of an IPv6 socket.
  const mapped = bytes.length === 16 && bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255;
  if (bytes.length === 4 || mapped) return `${bytes.slice(-4).join('.')}:${number}`;
  return hex === '00000000000000000000000001000000' ? `[::1]:${number}` : `[${hex}]:${number}`;
}
