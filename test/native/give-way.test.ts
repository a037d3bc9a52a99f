import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const module = (path: string): string => JSON.stringify(fileURLToPath(new URL(`../../src/${path}`, import.meta.url)));

describe('a process that gives way', () => {
  it('does so with all of its threads, those that ran before included', () => {
    const script = `
      import { readdirSync, readFileSync } from 'node:fs';
      import { stat } from 'node:fs/promises';
      import { giveWay } from ${module('native/give-way.js')};
      import { openCLibrary } from ${module('native/c-library.js')};
      import { silentLogger } from ${module('logger.js')};
      await stat('/');
      giveWay(openCLibrary(silentLogger), 7);
      const nice = (thread) => readFileSync('/proc/self/task/' + thread + '/stat', 'utf8').split(') ')[1].split(' ')[16];
      console.log(readdirSync('/proc/self/task').map(nice).join(' '));`;
    const nices = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    const found = nices.trim().split(' ');
    assert.ok(found.length > 1);
    assert.deepEqual(new Set(found), new Set(['7']));
  });
});
