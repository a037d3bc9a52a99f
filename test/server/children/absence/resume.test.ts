/** Tests when a client is asked, and what is reported: with a pretended Transmission and a pretended server. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { ListenOptions } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Config } from '../../../../src/config/config.ts';
import { statePaths } from '../../../../src/config/state-paths.ts';
import { resumeAfterAbsence } from '../../../../src/server/children/absence/resume.ts';
import { stopForAbsence } from '../../../../src/server/children/absence/stop.ts';
import { freePort, waitUntil } from '../../../harness/daemon.ts';
import { temporaryFolder } from '../../../harness/folder.ts';

const STATUS = { read_only: false, broken_sources: [], broken_entries: [], overlay_problems: [] };
const HASHES = ['a', 'b'].map((digit) => digit.repeat(40));

describe('absence resume', () => {
  let statePath: string;
  let config: Config;
  let port: number;
  const servers: Server[] = [];
  const calls: string[] = [];
  const calledAt: number[] = [];
  const told: string[] = [];

  const listen = async (server: Server, where: ListenOptions): Promise<void> => {
    servers.push(server);
    await new Promise<void>((resolve) => {
      server.listen(where, resolve);
    });
  };
  /** Shows all torrents in one state. `refuses`: it answers each changing call with a refusal. */
  const transmission = async (status: number): Promise<{ refuses: boolean }> => {
    const pretended = { refuses: false };
    let now = status;
    const server = createServer((asked, response) => {
      void (async () => {
        const call = JSON.parse(await text(asked)) as { method: string; arguments?: { ids?: string[] } };
        const ids = call.arguments?.ids ?? HASHES;
        const torrents = ids.map((hashString) => ({ ...TORRENT, hashString, status: now }));
        const known = { 'torrent-get': { torrents }, 'session-get': { version: '3.00', 'rpc-version': 16 } }[
          call.method
        ];
        if (known === undefined) {
          calls.push(call.method);
          calledAt.push(performance.now());
          if (!pretended.refuses) now = call.method === 'torrent-stop' ? 0 : 6;
        }
        const result = known === undefined && pretended.refuses ? 'not now' : 'success';
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ result, arguments: known ?? {} }));
      })();
    });
    await listen(server, { port, host: '127.0.0.1' });
    return pretended;
  };
  const recorded = async (): Promise<unknown> => {
    const { clients } = JSON.parse(await readFile(statePaths(statePath).absence, 'utf8')) as { clients: unknown };
    return clients;
  };
  const record = async (needs: string, stopped: readonly string[] = [], more: object = {}): Promise<void> => {
    const content = { version: 1, clients: { '': { needs, stopped, ...more } } };
    await writeFile(statePaths(statePath).absence, JSON.stringify(content));
  };
  const request = { configOf: async () => config, say: (level: string, said: string) => told.push(`${level} ${said}`) };

  beforeEach(async () => {
    statePath = temporaryFolder('resume');
    calls.length = 0;
    calledAt.length = 0;
    told.length = 0;
    const entries = HASHES.map((hash) => ({ kind: 'mount', state: 'added', info_hash: hash, missing_bytes: 0 }));
    const control = createServer((asked, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(asked.url?.startsWith('/v1/status') === true ? STATUS : entries));
    });
    await listen(control, { path: statePaths(statePath).socket });
    port = await freePort();
    const url = `http://127.0.0.1:${port}/transmission/rpc`;
    const client = { client: 'transmission', url };
    config = { statePath, storePath: '/', recover: true, clientSections: [''], client } as unknown as Config;
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    }
  });

  it('tries a client that refuses with longer and longer pauses, and says so once', async () => {
    const client = await transmission(6);
    client.refuses = true;
    await record('recover');
    const done = resumeAfterAbsence(config, request);
    await waitUntil('it tries again and again', async () => calls.length === 4);
    assert.deepEqual(
      calls,
      Array.from({ length: 4 }, () => 'torrent-stop'),
    );
    const pauses = calledAt.slice(1).map((at, i) => at - (calledAt[i] ?? at));
    assert.ok(
      [1000, 2000, 4000].every((least, i) => (pauses[i] ?? 0) > least - 50),
      `pauses of ${pauses.join(', ')} ms`,
    );
    assert.match(told.join('\n'), /^warn transmission: not all of its torrents were started yet: .*not now$/);
    assert.deepEqual(await recorded(), { '': { needs: 'recover', stopped: HASHES } });
    client.refuses = false;
    await done;
    assert.deepEqual(await recorded(), { '': { needs: 'serving', stopped: [] } });
  });

  it('after a client that had ended and does not come, has nothing to do and leaves the record as it is', async () => {
    await record('look');
    const done = resumeAfterAbsence(config, request);
    await waitUntil('it says so', async () => told.length > 0);
    assert.match(told.join('\n'), /^info transmission: it will be looked at when it answers: .*nothing listens there/);
    assert.deepEqual(await recorded(), { '': { needs: 'look', stopped: [] } });
    told.length = 0;
    await stopForAbsence(config, request);
    assert.match(told.join('\n'), /^info transmission is not running, so there is nothing to stop/);
    assert.deepEqual(await recorded(), { '': { needs: 'look', stopped: [] } });
    await transmission(6);
    await done;
    assert.deepEqual(await recorded(), { '': { needs: 'serving', stopped: [] } });
    assert.deepEqual(calls, []);
  });

  it('a recovery that has not come about is left as checks by an unmount in good order', async () => {
    TORRENT.percentDone = 0.5;
    await transmission(4);
    await record('recover', [], { pending: 'all' });
    await stopForAbsence(config, request);
    assert.deepEqual(await recorded(), { '': { needs: 'resume', stopped: HASHES, unchecked: HASHES } });
    TORRENT.percentDone = 1;
  });

  it('an unmount while it is started again in good order checks nothing', async () => {
    TORRENT.percentDone = 0.5;
    await transmission(4);
    await record('recover');
    await stopForAbsence(config, request);
    assert.deepEqual(await recorded(), { '': { needs: 'resume', stopped: HASHES } });
    TORRENT.percentDone = 1;
  });

  it('after a crash, records which torrents to look at until it has done so', async () => {
    await record('serving');
    const done = resumeAfterAbsence(config, request);
    await waitUntil('it says so', async () => told.length > 0);
    assert.match(told.join('\n'), /^warn transmission: its torrents will be started when it answers: /);
    assert.deepEqual(await recorded(), { '': { needs: 'recover', stopped: [], pending: 'all' } });
    await transmission(6);
    await done;
    assert.deepEqual(await recorded(), { '': { needs: 'serving', stopped: [] } });
    assert.match(told.at(-1) ?? '', /2 torrent\(s\) that had lost the mount use it again/);
  });

  it('says that a section is gone in whose client torrents are stopped', async () => {
    await transmission(6);
    const content = { version: 1, clients: { old: { needs: 'resume', stopped: HASHES } } };
    await writeFile(statePaths(statePath).absence, JSON.stringify(content));
    await resumeAfterAbsence(config, request);
    assert.match(
      told.join('\n'),
      /^warn \[client-old\] is gone from the configuration: 2 torrent\(s\) of its client stay stopped$/,
    );
  });

  it('after a client that was stopped in good order, and has ended since, only starts what was stopped', async () => {
    await record('resume', HASHES.slice(0, 1));
    const done = resumeAfterAbsence(config, request);
    await waitUntil('it says so', async () => told.length > 0);
    assert.deepEqual(await recorded(), { '': { needs: 'look', stopped: HASHES.slice(0, 1) } });
    await transmission(0);
    await done;
    assert.equal(calls.length, 1);
    assert.deepEqual(await recorded(), { '': { needs: 'serving', stopped: [] } });
  });
});

const TORRENT = {
  name: 'one',
  error: 0,
  errorString: '',
  percentDone: 1,
  recheckProgress: 0,
  leftUntilDone: 0,
};
