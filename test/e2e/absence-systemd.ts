/**
 * The unit of docs/absence.md, run by a systemd: start, restart, a crash, a shutdown and the boot after it, with a client
 * that is a service, too. Needs root and namespaces; not part of `npm test`: `npm run test:systemd`.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { after, before, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { reaches } from '../clients/steps.ts';
import { waitUntil } from '../harness/daemon.ts';
import { Systemd } from '../harness/systemd.ts';
import { AbsenceScene, CLIENTS } from './absence/scene.ts';

const SERVICE = 'autotorrent.service';
const CLIENT = 'transmission-daemon.service';
const transmission = CLIENTS.find(({ kind }) => kind === 'transmission');
assert.ok(transmission);

let scene: AbsenceScene;
let units: Record<string, string>;
let systemd: Systemd | undefined;

before(async () => {
  scene = await AbsenceScene.make(transmission);
  await scene.unmount();
  const { folder } = scene.member.daemon;
  units = {
    [SERVICE]: await documented(scene.autotorrent.config),
    [CLIENT]: ['[Service]', `ExecStart=/usr/bin/transmission-daemon -f -g ${folder}`, ''].join('\n'),
  };
  await scene.member.daemon.end();
});
after(async () => {
  await systemd?.end();
  await scene?.end();
});

/** Gives the documented unit, with the paths of this program and its configuration. */
async function documented(config: string): Promise<string> {
  const [, unit = ''] = /```ini\n(\[Unit\][^`]*)```/.exec(await readFile('docs/absence.md', 'utf8')) ?? [];
  const command = `ExecStart=${process.execPath} ${resolve('dist/src/main.js')} -c ${config} mount --daemon`;
  const changed = unit.replace(/^ExecStart=\S+ mount --daemon$/m, command).replace(/^User=.*$/m, '');
  assert.notEqual(changed.replace(command, ''), unit);
  assert.match(changed, /^Before=.* transmission-daemon\.service/m);
  assert.ok(changed.includes(command));
  return changed;
}

const log = (): Promise<string> => readFile(join(scene.autotorrent.statePath, 'server.log'), 'utf8');

/** Gives the log lines that the server writes during `act`. */
async function logged(act: () => Promise<unknown>): Promise<string> {
  const before = (await log()).length;
  await act();
  return (await log()).slice(before);
}

async function seeds(): Promise<void> {
  const { client } = scene.member;
  await reaches(client, scene.seeding, 'seeding');
  await waitUntil('all is recorded', async () => scene.needs() === 'serving' && scene.recorded().length === 0);
  await client.recheck([scene.seeding]);
  await sleep(500);
  assert.equal((await reaches(client, scene.seeding, 'seeding')).progress, 1);
  assert.equal(await scene.activity(scene.stopped), 'stopped');
}

function up(): Systemd {
  assert.ok(systemd);
  return systemd;
}

it('starts, and the client after it', async () => {
  systemd = await Systemd.boot(units);
  await up().within('mountpoint', '-q', scene.autotorrent.storePath);
  const since = async (unit: string, what: string): Promise<number> =>
    Number((await up().systemctl('show', '--value', `--property=${what}`, unit)).stdout);
  const [mounted, started] = [
    await since(SERVICE, 'ActiveEnterTimestampMonotonic'),
    await since(CLIENT, 'ExecMainStartTimestampMonotonic'),
  ];
  assert.ok(mounted > 0 && mounted <= started, `${mounted} ${started}`);
  await seeds();
});

it('stops and starts what the client seeds when it is restarted', async () => {
  const said = await logged(async () => {
    await up().systemctl('restart', SERVICE);
    await seeds();
  });
  assert.match(said, /transmission: 1 torrent\(s\) that were stopped for the mount run again/);
  assert.doesNotMatch(said, /use it again|were not stopped/);
});

it('is started again when it was killed, and recovers', async () => {
  const said = await logged(async () => {
    await up().systemctl('kill', '--kill-who=main', '--signal=KILL', SERVICE);
    await waitUntil('it has recovered', async () => /had lost the mount use it again/.test(await log()));
    await seeds();
  });
  assert.match(said, /transmission: 1 torrent\(s\) that had lost the mount/);
});

it('ends behind the client at a shutdown, and the next boot has nothing to do', async () => {
  const end = await logged(async () => {
    await up().systemctl('isolate', 'off.target');
    await waitUntil('all has stopped', async () => {
      const { stdout } = await up().systemctl('is-active', SERVICE, CLIENT);
      return stdout.split('\n').every((state) => state === '' || state === 'inactive');
    });
  });
  assert.match(end, /transmission is not running, so there is nothing to stop/);
  assert.equal(scene.needs(), 'look');
  await assert.rejects(up().within('mountpoint', '-q', scene.autotorrent.storePath));
  await up().end();

  const said = await logged(async () => {
    systemd = await Systemd.boot(units);
    await seeds();
  });
  assert.doesNotMatch(said, /use it again|go on|check/);
});
