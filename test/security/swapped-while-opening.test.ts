/** A process exchanges a folder and a link, again and again, while sources are opened and folders are scanned. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, readSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { FolderRecord } from '../../src/collection/scan/folder-record.ts';
import { MEMBER_LIMITS, MemberBudget } from '../../src/collection/scan/member-budget.ts';
import { readFolder } from '../../src/collection/scan/read-folder.ts';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadStrictCalls } from '../../src/native/strict-paths.ts';
import { openSource, openSourceSync } from '../../src/source/open-source.ts';
import { anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';

const SECONDS = 2;
/** Renames the folder away and the link into its place, and back. */
const SWAP = `
const { renameSync } = require('node:fs');
process.chdir(process.argv[1]);
process.send('begun');
for (;;) {
  renameSync('folder', 'aside'); renameSync('link', 'folder');
  renameSync('folder', 'link'); renameSync('aside', 'folder');
}`;

/** A folder `folder/sub` with a file, which is exchanged with a link to a folder of the same names. */
async function swapping(t: TestContext): Promise<string> {
  const top = temporaryFolder('swapped');
  for (const [folder, byte] of [
    ['folder', 'o'],
    ['foreign', 'f'],
  ] as const) {
    mkdirSync(join(top, folder, 'sub'), { recursive: true });
    writeFileSync(join(top, folder, 'sub/file'), byte);
    writeFileSync(join(top, folder, `sub/named-${byte}`), byte);
  }
  symlinkSync('foreign', join(top, 'link'));
  const child = spawn(process.execPath, ['-e', SWAP, top], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  t.after(() => child.kill('SIGKILL'));
  await new Promise((resolve) => {
    child.once('message', resolve);
  });
  return top;
}

const calls = loadStrictCalls(openCLibrary(silentLogger));

describe('a folder that is exchanged with a link all the time', () => {
  for (const [way, access] of [
    ['with openat2', anywhere({ calls })],
    ['without openat2', anywhere({ calls: {} })],
  ] as const) {
    it(`lets no foreign byte be read, ${way}`, async (t) => {
      const path = Buffer.from(join(await swapping(t), 'folder/sub/file'));
      const seen = new Map<string, number>();
      const end = performance.now() + SECONDS * 1000;
      for (let i = 0; performance.now() < end || seen.size < 2; i++) {
        const opened = i % 2 === 0 ? openSourceSync({ path }, access) : await openSource({ path }, access);
        let found: string = opened.state;
        if (opened.state === 'as recorded') {
          const byte = Buffer.alloc(1);
          readSync(opened.fd, byte, 0, 1, 0);
          closeSync(opened.fd);
          found = byte.toString();
        }
        seen.set(found, (seen.get(found) ?? 0) + 1);
      }
      assert.deepEqual([...seen.keys()].toSorted(), ['absent', 'o']);
    });

    it(`shows the scan no foreign name, ${way}`, async (t) => {
      const path = join(await swapping(t), 'folder/sub');
      const names = new Set<string>();
      const context = {
        ignore: undefined,
        avoid: new Set<string>(),
        racyMs: 0,
        growth: { settleMs: 0, youngMs: 0, againMs: 0, soonAfter: false },
        noteYoung() {},
        realOf: (one: string) => one,
        access,
        budget: new MemberBudget(MEMBER_LIMITS),
        isStopped: () => false,
        skip() {},
      };
      const end = performance.now() + SECONDS * 1000;
      while (performance.now() < end || names.size === 0) {
        const reading = readFolder({ path, root: false, known: null }, context);
        if (typeof reading === 'string') continue;
        const record = new FolderRecord(reading);
        for (let i = 0; i < record.files; i++) names.add(record.fileName(i).toString());
      }
      assert.deepEqual([...names].toSorted(), ['file', 'named-o']);
    });
  }
});
