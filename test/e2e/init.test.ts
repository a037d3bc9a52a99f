/** `init` with real clients: found by their own files, tried, written. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ClientDaemon } from '../harness/client-daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { startRtorrent } from '../harness/rtorrent.ts';
import { startTransmission } from '../harness/transmission.ts';

const PROGRAM = resolve('dist/src/main.js');

describe('init', () => {
  let folder: string;
  let home: string;
  let rtorrent: ClientDaemon;
  let transmission: ClientDaemon;
  const run = (...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
    new Promise((done) => {
      const env = { ...process.env, HOME: home, XDG_CONFIG_HOME: '' };
      const child = execFile(process.execPath, [PROGRAM, ...args], { cwd: folder, env }, (_, stdout, stderr) =>
        done({ code: child.exitCode ?? 128, stdout, stderr }),
      );
    });

  before(async () => {
    folder = temporaryFolder('init');
    home = join(folder, 'home');
    await mkdir(join(home, '.config', 'transmission-daemon'), { recursive: true });
    rtorrent = await startRtorrent();
    transmission = await startTransmission({ account: { username: 'me', password: 'se%cret' } });
  });
  after(async () => {
    await rtorrent?.stop();
    await transmission?.stop();
  });

  it('writes the example where it finds no client', async () => {
    const { code, stdout } = await run('--json', '--create_config', 'empty.conf');
    assert.equal(code, 0);
    const { clients } = JSON.parse(stdout) as { clients: { from: string }[] };
    // The machine that runs the tests may have a client, which is found by its files.
    assert.deepEqual(
      clients.filter(({ from }) => from.startsWith(home)),
      [],
    );
    assert.match(await readFile(join(folder, 'empty.conf'), 'utf8'), /^\[client\]$/m);
  });

  it('finds two clients, tries them, and writes a configuration that reaches both', async () => {
    await copyFile(join(rtorrent.folder, 'rtorrent.rc'), join(home, '.rtorrent.rc'));
    const settings = join(home, '.config', 'transmission-daemon', 'settings.json');
    await copyFile(join(transmission.folder, 'settings.json'), settings);
    // As it was before Transmission hashed the password.
    await writeFile(settings, (await readFile(settings, 'utf8')).replace(/("rpc-password":\s*")[^"]*/, '$1se%cret'));
    const { code, stdout, stderr } = await run('init', 'found.conf');
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^rtorrent at scgi:\/\/\/.*: rTorrent 0\.\d.* answers: \[client\]$/m);
    assert.match(stdout, /^transmission at http.*: Transmission \d.* answers: \[client-transmission\]$/m);
    assert.doesNotMatch(stdout + stderr, /se%cret/);
    assert.equal((await stat(join(folder, 'found.conf'))).mode & 0o777, 0o600);
    for (const [args, name] of [
      [[], 'rTorrent'],
      [['-l', 'transmission'], 'Transmission'],
    ] as const) {
      const answer = await run('-c', 'found.conf', ...args, 'test-connection');
      assert.match(answer.stdout, new RegExp(`Connected to ${name} `), answer.stderr);
      assert.equal(answer.stderr, '', 'no notice');
    }
    const again = await run('init', 'found.conf');
    assert.equal(again.code, 2);
    assert.match(again.stderr, /already exists, not creating/);
  });

  it('warns of a client to which every user of the machine can give orders', async () => {
    // SCGI over TCP has no password: that is what the warning is about.
    const open = await startRtorrent({ scgi: 'tcp' });
    try {
      const rc = join(home, '.rtorrent.rc');
      const closed = await readFile(rc);
      await copyFile(join(open.folder, 'rtorrent.rc'), rc);
      const { code, stdout, stderr } = await run('init', 'open.conf');
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^rtorrent at scgi:\/\/127\.0\.0\.1:\d+ .* answers: \[client\]$/m);
      assert.match(stderr, /every user of this machine can run programs as the user of this rTorrent/);
      assert.match(await readFile(join(folder, 'open.conf'), 'utf8'), /^# SCGI has no password: .*open_local = /m);
      const tested = await run('-c', 'open.conf', 'test-connection');
      assert.equal(tested.code, 0);
      assert.equal(tested.stderr.match(/SCGI has no password/g)?.length, 1, tested.stderr);
      const { exposed } = JSON.parse((await run('-c', 'open.conf', '--json', 'test-connection')).stdout) as {
        exposed: string;
      };
      assert.match(exposed, /SCGI has no password/);
      await writeFile(rc, closed);
    } finally {
      await open.stop();
    }
  });

  it('explains what does not work, and leaves a section to complete', async () => {
    await rm(join(home, '.rtorrent.rc'));
    // Now with Transmission's hash of the password: nobody can be asked here.
    const settings = join(home, '.config', 'transmission-daemon', 'settings.json');
    const hash = '{9bd4eb4d1eb7b8b5cfb3b7ee3d37d2f9dd3a1c9aQv1ZzZzZ';
    await writeFile(settings, (await readFile(settings, 'utf8')).replace('se%cret', hash));
    const { stdout } = await run('init', 'wrong.conf');
    assert.match(stdout, /^transmission at http.* cannot be used yet: its password is not known/m);
    const text = await readFile(join(folder, 'wrong.conf'), 'utf8');
    assert.match(
      text,
      /# From .*settings\.json, but it cannot be used yet:\n# .*\n\[client\]\nclient = transmission\nurl = http/,
    );
    assert.match(text, /^#client = rtorrent$/m);
  });
});
