/** Private folders whose modes cannot be changed, and those of a state that lies with other things. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { statePaths } from '../../src/config/state-paths.ts';
import { createLogger, silentLogger } from '../../src/logger.ts';
import { keepPrivate } from '../../src/state/private-folder.ts';
import { keepStatePrivate } from '../../src/state/state-folder.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';

const FOLDER = { code: 'INDEX', what: 'the index', make: true } as const;
const PROGRAM = `
import { keepPrivate } from ${JSON.stringify(fileURLToPath(new URL('../../src/state/private-folder.js', import.meta.url)))};
const say = (level) => (text) => console.log(level, text);
const logger = { debug() {}, info: say('info'), warn: say('warn'), error: say('error') };
console.log(keepPrivate(process.argv[1], { code: 'INDEX', what: 'the index', make: process.argv[2] === 'make', logger }));`;

describe('a private folder', () => {
  const warned = (run: (logger: ReturnType<typeof createLogger>) => void): string => {
    let told = '';
    run(
      createLogger('info', (line) => {
        told += line;
      }),
    );
    return told;
  };

  it('is made with what lies above it, whatever the umask', () => {
    const top = temporaryFolder('private');
    const umask = process.umask(0o002);
    try {
      assert.equal(keepPrivate(join(top, 'a', 'b'), { ...FOLDER, make: false }), false);
      assert.equal(keepPrivate(join(top, 'a', 'b'), FOLDER), true);
    } finally {
      process.umask(umask);
    }
    assert.equal(statSync(join(top, 'a')).mode & 0o777, 0o755, 'others may need what else lies there');
    assert.equal(statSync(join(top, 'a', 'b')).mode & 0o777, 0o700);
  });

  it('is closed with what is below it, once, and follows no symlink there', () => {
    const top = temporaryFolder('private');
    const folder = join(top, 'folder');
    mkdirSync(join(folder, 'a', 'b'), { recursive: true });
    mkdirSync(join(top, 'elsewhere'));
    for (const path of [folder, join(folder, 'a'), join(folder, 'a', 'b'), join(top, 'elsewhere')])
      chmodSync(path, 0o755);
    writeFileSync(join(folder, 'a', 'CURRENT'), '', { mode: 0o644 });
    writeFileSync(join(folder, 'a', '17'), '');
    chmodSync(join(folder, 'a', '17'), 0o444);
    symlinkSync(join(top, 'elsewhere'), join(folder, 'link'));
    assert.match(
      warned((logger) => keepPrivate(folder, { ...FOLDER, logger })),
      /^the index \(.*\) could be read by other users: it is closed to them now \(0700\)\n$/,
    );
    for (const path of ['', 'a', 'a/b']) assert.equal(statSync(join(folder, path)).mode & 0o777, 0o700, path);
    assert.equal(statSync(join(folder, 'a', 'CURRENT')).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder, 'a', '17')).mode & 0o777, 0o444, 'a file of the mount keeps its mode');
    assert.equal(statSync(join(top, 'elsewhere')).mode & 0o777, 0o755);
    assert.equal(
      warned((logger) => keepPrivate(folder, { ...FOLDER, logger })),
      '',
    );
  });

  it('is only looked at by programs that open nothing in it', () => {
    const folder = temporaryFolder('private');
    chmodSync(folder, 0o755);
    assert.equal(keepPrivate(folder, { ...FOLDER, open: 'look' }), true);
    assert.equal(statSync(folder).mode & 0o777, 0o755);
  });

  it('that cannot be closed is used, with the remedy, if others may only read it', { skip: NEEDS_ROOT }, () => {
    const folder = temporaryFolder('private');
    chmodSync(folder, 0o755);
    // As on a file system without modes: chmod(2) fails.
    const script =
      'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" --input-type=module -e "$3" "$1" "$4"';
    const run = (make: string): string =>
      execFileSync('unshare', ['-m', 'sh', '-c', script, 'sh', folder, process.execPath, PROGRAM, make], {
        encoding: 'utf8',
      });
    assert.match(
      run('make'),
      /^warn the index .* mode cannot be changed: mount its file system with uid=0,umask=077.*\ntrue\n$/,
    );
    assert.equal(run('ask'), 'true\n', 'commands that only ask do not repeat it');
  });
});

describe('the state folder', () => {
  it('is closed with all that the program makes in it', () => {
    const folder = join(temporaryFolder('state'), 'state');
    mkdirSync(folder);
    chmodSync(folder, 0o755);
    const names = [...Object.values(statePaths(folder)).map((path) => basename(path)), 'absence.json.new', 'ballast'];
    for (const name of names) {
      writeFileSync(join(folder, name), '');
      chmodSync(join(folder, name), 0o644);
    }
    keepStatePrivate(folder, silentLogger);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    // LevelDB's folder and the socket are files here.
    for (const name of names.filter((one) => one !== 'store' && one !== 'socket')) {
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
    }
  });
});
