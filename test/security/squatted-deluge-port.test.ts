/**
 * While deluged is down, another user listens on its port and waits for the password. It goes to nobody but the daemon whose
 * certificate lies beside the `auth` file, or that was known before.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { createServer, type Server } from 'node:tls';
import { connectDaemon, type DelugeAddress } from '../../src/clients/deluge/daemon.ts';
import { fingerprintOf } from '../../src/clients/deluge/identity.ts';
import { KnownDaemons } from '../../src/clients/wire/known-daemons.ts';
import { rencode } from '../../src/clients/wire/rencode.ts';
import type { AutotorrentError } from '../../src/errors.ts';
import { type Certificate, ownCertificate } from '../harness/certificate.ts';
import { startDeluge } from '../harness/deluge.ts';
import { delugeCalls, delugeFrame } from '../harness/deluge-frames.ts';
import { temporaryFolder } from '../harness/folder.ts';

const PASSWORD = 'hunter2';

interface Fake {
  readonly host: string;
  readonly port: number;
  /** The methods that it was called with. */
  readonly calls: string[];
  readonly logins: (readonly unknown[])[];
  close(): Promise<void>;
}

const servers = new Set<Server>();
after(() => {
  for (const server of servers) server.close();
});

/** Takes every login. */
async function fakeDaemon(certificate: Certificate, address = '127.0.0.1', port = 0): Promise<Fake> {
  const calls: string[] = [];
  const logins: (readonly unknown[])[] = [];
  const server = createServer(certificate, (socket) => {
    socket.on('error', () => {});
    socket.on('data', (frame) => {
      for (const [id, method, args] of delugeCalls(frame)) {
        calls.push(method);
        if (method === 'daemon.login') logins.push(args);
        socket.write(delugeFrame(rencode([1, id, '2.0.3'])));
      }
    });
  });
  servers.add(server);
  await new Promise<void>((resolve) => {
    server.listen(port, address, resolve);
  });
  const own = server.address() as AddressInfo;
  const close = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  const host = `${address.includes(':') ? `[${address}]` : address}:${own.port}`;
  return { host, port: own.port, calls, logins, close };
}

async function ask(address: DelugeAddress, authFiles: readonly string[] = []): Promise<void> {
  const rpc = connectDaemon(address, { timeoutMs: 20_000 }, () => authFiles);
  try {
    await rpc.calls([{ method: 'daemon.get_version', args: [] }]);
  } finally {
    await rpc.close();
  }
}

/** Deluge's configuration folder: an `auth` file, and `ssl/` with what `certificate` says. */
function configuration(certificate: Buffer | string | undefined): string {
  const folder = temporaryFolder('deluge-config');
  writeFileSync(join(folder, 'auth'), `localclient:${PASSWORD}:10\n`);
  if (certificate !== undefined) {
    mkdirSync(join(folder, 'ssl'));
    writeFileSync(join(folder, 'ssl', 'daemon.cert'), certificate);
  }
  return join(folder, 'auth');
}

const own = ownCertificate();
const other = ownCertificate();
const shown = (certificate: Certificate): string => fingerprintOf(new X509Certificate(certificate.cert));
const noLogin = (fake: Fake, message: RegExp) => (error: AutotorrentError) => {
  assert.equal(error.code, 'CLIENT');
  assert.match(error.message, message);
  assert.deepEqual(fake.calls, [], 'nothing was sent to it');
  assert.doesNotMatch(`${error.message} ${error.hint}`, /hunter2/);
  return true;
};

describe('a squatter on the port of a Deluge daemon of this machine', () => {
  it('gets no password that lies beside the certificate of another', async () => {
    const fake = await fakeDaemon(other);
    const auth = configuration(own.cert);
    await assert.rejects(ask({ host: fake.host }, [auth]), (error: AutotorrentError) => {
      assert.ok(error.message.includes(shown(own)) && error.message.includes(shown(other)), error.message);
      return noLogin(fake, /is not the daemon of this machine, and was not sent the password/)(error);
    });
  });

  it('gets it neither from the file nor from the memory of the state', async () => {
    const fake = await fakeDaemon(other);
    const knownDaemons = join(temporaryFolder('state'), 'known_daemons');
    writeFileSync(knownDaemons, `${fake.host} ${shown(other)}\n`);
    const auth = configuration(own.cert);
    await assert.rejects(ask({ host: fake.host, knownDaemons }, [auth]), noLogin(fake, /is not the daemon/));
  });

  it('gets no password of the configuration either', async () => {
    const fake = await fakeDaemon(other);
    const knownDaemons = join(temporaryFolder('state'), 'known_daemons');
    const address = { host: fake.host, username: 'me', password: PASSWORD, knownDaemons };
    const auth = configuration(own.cert);
    let remedy = '';
    await assert.rejects(ask(address, [auth]), (error: AutotorrentError) => {
      remedy = /add the line "(.*)" to/.exec(error.hint ?? '')?.[1] ?? '';
      return noLogin(fake, /is not the daemon of this machine/)(error);
    });
    // It may be a tunnel to another machine: its user says so.
    writeFileSync(knownDaemons, `${remedy}\n`);
    await ask(address, [auth]);
    assert.equal(fake.logins.length, 1);
  });

  it('does not keep the daemon itself from it, also where another auth file is of another daemon', async () => {
    const fake = await fakeDaemon(own);
    await ask({ host: fake.host }, [configuration(other.cert), configuration(own.cert)]);
    assert.deepEqual(fake.logins, [['localclient', PASSWORD]]);
  });

  it('listens on IPv6, and gets none there', async () => {
    const fake = await fakeDaemon(other, '::1');
    await assert.rejects(ask({ host: fake.host }, [configuration(own.cert)]), noLogin(fake, /is not the daemon/));
  });

  it('is proven or refused with a real deluged', async () => {
    const daemon = await startDeluge();
    try {
      const { host } = new URL(daemon.url);
      const config = join(daemon.folder, 'config');
      await ask({ host }, [join(config, 'auth')]);
      const stale = join(temporaryFolder('stale'), 'config');
      cpSync(config, stale, { recursive: true });
      writeFileSync(join(stale, 'ssl', 'daemon.cert'), other.cert);
      await assert.rejects(ask({ host }, [join(stale, 'auth')]), /is not the daemon of this machine/);
    } finally {
      await daemon.stop();
    }
  });
});

describe('a daemon without a certificate to compare with', () => {
  const cases: readonly (readonly [string, Buffer | string | undefined])[] = [
    ['missing', undefined],
    ['garbage', 'garbage'],
    ['empty', ''],
    ['larger than any', 'x'.repeat(100_000)],
  ];
  for (const [name, certificate] of cases) {
    it(`is known from its first use on: the file is ${name}`, async () => {
      const knownDaemons = join(temporaryFolder('state'), 'known_daemons');
      const auth = configuration(certificate);
      const first = await fakeDaemon(own);
      await ask({ host: first.host, knownDaemons }, [auth]);
      await ask({ host: first.host, knownDaemons }, [auth]);
      assert.equal(readFileSync(knownDaemons, 'utf8').trim(), `${first.host} ${shown(own)}`);
      assert.equal(statSync(knownDaemons).mode & 0o777, 0o600);
      await first.close();

      const squatter = await fakeDaemon(other, '127.0.0.1', first.port);
      await assert.rejects(ask({ host: first.host, knownDaemons }, [auth]), (error: AutotorrentError) => {
        assert.ok(error.message.includes(shown(own)) && error.message.includes(shown(other)), error.message);
        assert.ok(error.hint?.includes(`delete the line of ${first.host} in ${knownDaemons}`), error.hint);
        return noLogin(squatter, /shows another certificate than before/)(error);
      });
      rmSync(knownDaemons);
      await ask({ host: first.host, knownDaemons }, [auth]);
      assert.equal(squatter.logins.length, 1);
      await squatter.close();
    });
  }

  it('is not known by a login that it refused', async () => {
    const daemon = await startDeluge();
    try {
      const { host } = new URL(daemon.url);
      const knownDaemons = join(temporaryFolder('state'), 'known_daemons');
      const wrong = { host, username: 'nobody', password: 'wrong', knownDaemons };
      await assert.rejects(ask(wrong), /refused the user name and password/);
      assert.equal(new KnownDaemons(knownDaemons).fingerprintOf(host), undefined);
    } finally {
      await daemon.stop();
    }
  });

  it('is asked all the same before there is a state', async () => {
    const fake = await fakeDaemon(own);
    const knownDaemons = join(temporaryFolder('state'), 'not there', 'known_daemons');
    await ask({ host: fake.host, username: 'u', password: 'p', knownDaemons });
    assert.equal(fake.logins.length, 1);
  });

  it('is refused where the memory cannot be read', async () => {
    const fake = await fakeDaemon(own);
    const knownDaemons = join(temporaryFolder('state'), 'known_daemons');
    mkdirSync(knownDaemons);
    const address = { host: fake.host, username: 'u', password: 'p', knownDaemons };
    await assert.rejects(ask(address), noLogin(fake, /cannot be compared with the daemons that are known/));
  });
});

describe('the memory of known daemons', () => {
  it('loses nothing to two commands at a time, which agree', async () => {
    const file = join(temporaryFolder('state'), 'known_daemons');
    const module = new URL('../../src/clients/wire/known-daemons.js', import.meta.url).href;
    const script = `import { KnownDaemons } from ${JSON.stringify(module)};
      const known = new KnownDaemons(process.argv[1]);
      const mine = 'sha256:' + process.argv[2].repeat(64);
      for (let i = 0; i < 50; i += 1) known.remember(process.argv[2] + ':' + i, mine);
      console.log(known.remember('both:1', mine));`;
    const run = (who: string): string =>
      execFileSync(
        'sh',
        ['-c', 'for w in a b c; do node --input-type=module -e "$1" "$2" $w & done; wait', 'sh', script, who],
        { encoding: 'utf8' },
      );
    const agreed = new Set(run(file).trim().split('\n'));
    assert.equal(agreed.size, 1);
    const known = new KnownDaemons(file);
    for (const who of 'abc') {
      for (let i = 0; i < 50; i += 1) assert.equal(known.fingerprintOf(`${who}:${i}`), `sha256:${who.repeat(64)}`);
    }
  });

  it('outlives a line that was cut off, and is not written through a symlink', () => {
    const folder = temporaryFolder('state');
    const file = join(folder, 'known_daemons');
    writeFileSync(file, 'a:1 sha256:1234');
    chmodSync(file, 0o600);
    const known = new KnownDaemons(file);
    assert.equal(known.fingerprintOf('a:1'), undefined);
    known.remember('a:1', shown(own));
    assert.equal(known.fingerprintOf('a:1'), shown(own));
    const link = join(folder, 'link');
    execFileSync('ln', ['-s', join(folder, 'elsewhere'), link]);
    assert.throws(() => new KnownDaemons(link).remember('a:1', shown(own)), { code: 'ELOOP' });
  });
});
