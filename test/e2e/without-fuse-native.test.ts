/** A machine on which fuse-native is not installed: the server runs with driver kernel, and says why. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';

/** Loaded before the program: neither package is found. */
const HIDE = `
const module_ = require('node:module');
const resolve = module_._resolveFilename;
module_._resolveFilename = function (request, ...more) {
  if (/^fuse-(native|shared-library)$/.test(request)) {
    throw Object.assign(new Error("Cannot find module '" + request + "'"), { code: 'MODULE_NOT_FOUND' });
  }
  return resolve.call(this, request, ...more);
};
`;

describe('without fuse-native', () => {
  let autotorrent: Autotorrent;
  const options = process.env['NODE_OPTIONS'];

  before(async () => {
    const folder = temporaryFolder('without-fuse-native');
    const hide = join(folder, 'hide.cjs');
    writeFileSync(hide, HIDE);
    process.env['NODE_OPTIONS'] = `${options ?? ''} --require ${hide}`;
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    autotorrent = await autotorrentIn({ folder, disks: [disk] });
  });

  after(() => {
    if (options === undefined) delete process.env['NODE_OPTIONS'];
    else process.env['NODE_OPTIONS'] = options;
  });

  it('mount takes driver kernel, and status says why', async () => {
    const server = await autotorrent.mount();
    try {
      assert.deepEqual(await readdir(autotorrent.storePath), []);
      const status = (await autotorrent.json('status')) as Readonly<Record<string, unknown>>;
      assert.equal(status['driver'], 'kernel');
      assert.match(String(status['driver_detail']), /^FUSE 7\.\d+/);
      assert.match(String(status['driver_reason']), /^fuse-native cannot run here: .*Cannot find module 'fuse-native'/);
      const { stdout } = await autotorrent.run('status');
      assert.match(stdout, /driver kernel \(FUSE 7\.\d+.*; fuse-native cannot run here: /);
    } finally {
      assert.equal((await autotorrent.run('unmount')).code, 0);
      await server.stop();
    }
  });

  it('mount with driver fuse-native says what to do', async () => {
    const { code, stderr } = await autotorrent.run('mount', '--driver', 'fuse-native');
    assert.equal(code, 1);
    assert.match(stderr, /The package fuse-native is not installed/);
  });
});
