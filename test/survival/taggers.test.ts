/** What programs do to the files that they tag: the tests of what becomes of torrents build on it (`taggers.ts`). */
import assert from 'node:assert/strict';
import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { IN_CLOSE_WRITE, IN_DELETE, IN_MOVED_TO, loadInotifyCalls, parseInotify } from '../../src/native/inotify.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { TAGGINGS, type Tagging, tag } from './taggers.ts';

/** Another file has the name from then on. */
const LEFT = IN_DELETE | IN_MOVED_TO;

/** What was seen of a command. */
interface Seen {
  readonly does: Tagging['does'];
  /** The file that was there was opened for writing, and written to. */
  readonly opened: boolean;
  readonly written: boolean;
}

function watched(tagging: Tagging, path: string, folder: string): Seen {
  const inotify = loadInotifyCalls(openCLibrary(silentLogger));
  assert.ok(inotify);
  const told = inotify.open();
  const fd = openSync(path, 'r');
  try {
    const before = readFileSync(path);
    inotify.watch(told, Buffer.from(folder), IN_CLOSE_WRITE | LEFT);
    tag(tagging, path);
    const events = [...parseInotify(eventsOf(told))].filter(({ name }) => path.endsWith(`/${name}`));
    const left = events.findIndex(({ mask }) => (mask & LEFT) !== 0);
    const ofThisFile = left < 0 ? events : events.slice(0, left);
    const after = Buffer.alloc(before.length);
    readSync(fd, after, 0, after.length, 0);
    return {
      does: statSync(path).ino === fstatSync(fd).ino ? 'rewritten' : 'replaced',
      opened: ofThisFile.some(({ mask }) => (mask & IN_CLOSE_WRITE) !== 0),
      written: !after.equals(before) || fstatSync(fd).size !== before.length,
    };
  } finally {
    closeSync(fd);
    closeSync(told);
  }
}

function eventsOf(told: number): Buffer {
  const buffer = Buffer.alloc(65_536);
  try {
    return buffer.subarray(0, readSync(told, buffer));
  } catch {
    // Nothing was seen.
    return buffer.subarray(0, 0);
  }
}

describe('a program that tags files', () => {
  for (const tagging of TAGGINGS) {
    const { name, kind, does, opens } = tagging;
    it(`${name}: the file is ${does}${opens === true ? ', after it was opened for writing' : ''}`, () => {
      const folder = temporaryFolder('tagger');
      const path = join(folder, `file.${kind}`);
      tagging.make(path, name);
      const expected = { does, opened: does === 'rewritten' || opens === true, written: does === 'rewritten' };
      assert.deepEqual(watched(tagging, path, folder), expected);
    });
  }
});
