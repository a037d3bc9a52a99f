import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { ownUid } from '../../src/native/accounts.ts';
import { isWithinMachine, type TcpOwner, tcpPeerOwner } from '../../src/native/tcp-owner.ts';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const row = (local: string, remote: string, state: string, uid: number, inode: number): string =>
  `   0: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000 ${uid}        0 ${inode} 1 0000000000000000 20 4 30 10 -1\n`;
const FOUR = { localAddress: '127.0.0.1', localPort: 0xd431, remoteAddress: '127.0.0.1', remotePort: 0x2383 };
const OURS = '0100007F:D431';
const THEIRS = '0100007F:2383';
const MAPPED = '0000000000000000FFFF00000100007F';
const ANY6 = '0'.repeat(32);

const ownerIn = (tcp: string, tcp6 = '', ends = FOUR): Promise<TcpOwner | undefined> =>
  tcpPeerOwner(ends, (name) => Promise.resolve(Buffer.from(HEAD + (name === 'tcp' ? tcp : tcp6))));
const holding = (uid: number): TcpOwner => ({ uid, holds: true });
const listening = (uid: number): TcpOwner => ({ uid, holds: false });

// The kernel prints addresses in the order of the machine's own bytes: these rows are of little-endian ones.
describe('the owner of the other end of a TCP connection', () => {
  for (const [host, address] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['::', '127.0.0.1'],
    ['127.0.0.1', '::ffff:127.0.0.1'],
  ] as const) {
    it(`is found where ${host} listens and ${address} is connected to`, async () => {
      const server = createServer(() => {}).listen(0, host);
      await once(server, 'listening');
      const accepting = once(server, 'connection');
      const socket = connect((server.address() as AddressInfo).port, address);
      await once(socket, 'connect');
      const [accepted] = (await accepting) as [Socket];
      const { localAddress = '', localPort = 0, remoteAddress = '', remotePort = 0 } = socket;
      assert.deepEqual(await tcpPeerOwner({ localAddress, localPort, remoteAddress, remotePort }), holding(ownUid()));
      socket.destroy();
      accepted.destroy();
      server.close();
    });
  }

  it('is that of its row, not of ours, nor of another connection', async () => {
    const rows = [
      row(OURS, THEIRS, '01', 7, 11),
      row(THEIRS, '0100007F:D432', '01', 8, 12),
      row(THEIRS, OURS, '01', 115, 13),
      row(THEIRS, '00000000:0000', '0A', 9, 14),
    ];
    assert.deepEqual(await ownerIn(rows.join('')), holding(115));
    assert.deepEqual(await ownerIn('', row(`${MAPPED}:2383`, `${MAPPED}:D431`, '01', 116, 13)), holding(116));
  });

  it('is the listener’s while no program holds the connection, or it has no row', async () => {
    const waiting = row(THEIRS, OURS, '01', 0, 0);
    const old = row(THEIRS, OURS, '06', 0, 0);
    assert.deepEqual(await ownerIn(waiting + row(THEIRS, '00000000:0000', '0A', 115, 14)), listening(115));
    assert.deepEqual(await ownerIn(row('00000000:2383', '00000000:0000', '0A', 115, 14) + old), listening(115));
    assert.deepEqual(await ownerIn('', row(`${ANY6}:2383`, `${ANY6}:0000`, '0A', 115, 14)), listening(115));
    assert.deepEqual(await ownerIn(row('00000000:2384', '00000000:0000', '0A', 115, 14)), undefined);
  });

  it('is looked for within this machine alone', () => {
    const ends = (remoteAddress: string, localAddress = '192.0.2.1') => ({ ...FOUR, localAddress, remoteAddress });
    for (const own of ['127.0.0.2', '::1', '::ffff:127.0.0.1', '192.0.2.1']) assert.ok(isWithinMachine(ends(own)), own);
    for (const far of ['192.0.2.7', '2001:db8::7']) assert.ok(!isWithinMachine(ends(far)), far);
  });

  it('is found in tcp6 by every form of an address', async () => {
    const ends = { ...FOUR, localAddress: 'fe80::1%eth0', remoteAddress: '2001:db8:0:1::5' };
    const peer = 'B80D0120010000000000000005000000:2383 000080FE000000000000000001000000:D431';
    const [local = '', remote = ''] = peer.split(' ');
    assert.deepEqual(await ownerIn('', row(local, remote, '01', 115, 3), ends), holding(115));
  });

  it('is unknown where the system shows no table, and where rows were missed only at first', async () => {
    assert.equal(await tcpPeerOwner(FOUR, () => Promise.resolve(undefined)), undefined);
    let looks = 0;
    const owner = await tcpPeerOwner(FOUR, () => {
      looks += 1;
      return Promise.resolve(Buffer.from(looks <= 2 ? HEAD : row(THEIRS, OURS, '01', 115, 3)));
    });
    assert.deepEqual(owner, holding(115));
  });
});
