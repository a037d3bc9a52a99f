/** The watch of an ordinary user: marks of folders, within the kernel's limits. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { WatchFacts } from '../../src/watch/protocol.ts';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { AS_OTHER_USER, NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';

const SCRIPT = fileURLToPath(new URL('as-user.js', import.meta.url));
const QUEUE = '/proc/sys/fs/fanotify/max_queued_events';

describe("an ordinary user's watch", { skip: NEEDS_ROOT }, () => {
  let base: string;
  let child: ChildProcess | undefined;
  let lines: unknown[] = [];
  const at = (...parts: readonly string[]): string => join(base, ...parts);

  function mine(path: string): void {
    chownSync(path, OTHER_USER.uid, OTHER_USER.gid);
  }

  async function start(files: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<WatchFacts> {
    const [setpriv, ...become] = AS_OTHER_USER;
    lines = [];
    child = spawn(setpriv, [...become, process.execPath, SCRIPT, base, ...files], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    createInterface({ input: child.stdout! }).on('line', (line) => lines.push(JSON.parse(line)));
    await waitUntil('the watch', async () => lines.some((line) => typeof line === 'object'), { limitMs: 20_000 });
    return lines.find((line) => typeof line === 'object') as WatchFacts;
  }

  const until = async (text: string): Promise<void> => {
    await waitUntil(text, async () => lines.includes(text), { limitMs: 5000 }).catch((error: unknown) => {
      throw new Error(`no "${text}" in ${JSON.stringify(lines)}`, { cause: error });
    });
  };

  beforeEach(() => {
    base = temporaryFolder('watch-user');
    chmodSync(base, 0o755);
    for (const folder of ['show', 'show/one', 'show/two', 'elsewhere']) {
      mkdirSync(at(folder));
      mine(at(folder));
    }
    for (const file of ['show/one/a', 'show/two/b']) writeFileSync(at(file), 'content');
  });

  afterEach(async () => {
    const ended = new Promise((resolve) => child?.once('exit', resolve));
    child?.stdin?.end();
    await ended;
  });

  it('reports renames of files and folders, and what moves into a folder that was just made', async () => {
    const facts = await start([at('show/one/a'), at('show/two/b')]);
    assert.equal(facts.kind, 'fanotify-folders');
    assert.equal(facts.limited, false);
    renameSync(at('show/one/a'), at('show/two/a2'));
    await until('renamed show/one/a -> show/two/a2 [1]');
    renameSync(at('show'), at('tv'));
    await until('renamed folder show -> tv');
    mkdirSync(at('tv/two/season 3'));
    mine(at('tv/two/season 3'));
    await until('appeared folder tv/two/season 3');
    renameSync(at('tv/two/b'), at('tv/two/season 3/b'));
    await until('renamed tv/two/b -> tv/two/season 3/b [2]');
    renameSync(at('tv/two/season 3/b'), at('elsewhere/b'));
    await until('left tv/two/season 3/b [2]');
  });

  it('says that it is limited, and keeps the folders that were used last', async () => {
    const facts = await start([at('show/one/a'), at('show/two/b')], { MOST_MARKS: '4' });
    // Three folders above and one with sources.
    assert.equal(facts.limited, true);
    assert.equal(facts.marks, 4);
    renameSync(at('show/two/b'), at('show/two/b2'));
    await until('renamed show/two/b -> show/two/b2 [2]');
  });

  it('tells when more has happened than the kernel keeps', async () => {
    const before = readFileSync(QUEUE, 'utf8');
    try {
      writeFileSync(QUEUE, '16');
      await start([at('show/one/a')]);
    } finally {
      writeFileSync(QUEUE, before);
    }
    for (let i = 0; i < 2000; i++) writeFileSync(at('show/one', `new ${i}`), '');
    await until('overflow');
  });
});
