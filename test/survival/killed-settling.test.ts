/**
 * Server and healer are killed in the middle of settling many files: each record is the old or the new one then, and in the end
 * all of them are the new ones.
 */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ControlClient } from '../../src/control/client.ts';
import { waitUntil } from '../harness/daemon.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { killProgram, Scene } from './scene.ts';
import { laySeries, readSeries, type Series } from './series.ts';
import { WHOLE } from './setting.ts';

const FILES = WHOLE ? 5000 : 500;
const KILLS = WHOLE ? 6 : 2;
const SETTLED_MS = 300_000;

describe('a server and a healer that are killed while they settle many files', { skip: NEEDS_ROOT }, () => {
  it(`leaves old or new records of ${FILES} files`, { timeout: 1_200_000 }, async (test) => {
    const scene = await Scene.make({ kind: 'ext4', person: 'root' });
    try {
      const series = laySeries(scene, 'Series', FILES);
      await scene.run('rebuild');
      await scene.mount();
      await scene.add([series]);
      const before = await sourcesOf(scene, series);
      await scene.unmount();
      const after = new Set(moveAll(scene, series));
      await scene.mount();

      const moved = async (): Promise<number> => {
        const paths = await sourcesOf(scene, series);
        assert.equal(paths.length, FILES);
        const wrong = paths.filter((path, i) => path !== before[i] && !after.has(path));
        assert.deepEqual(wrong, [], 'a record is neither the old nor the new one');
        return paths.filter((path) => after.has(path)).length;
      };
      const seen: number[] = [];
      for (let kill = 0; kill < KILLS; kill++) {
        // Has the cases settled at once. It ends with the server that it asks.
        const verifying = scene.autotorrent.run('verify', series.name);
        const least = seen.at(-1) ?? 0;
        await waitUntil('some are settled', async () => (await moved()) > least || least === FILES, {
          limitMs: SETTLED_MS,
        });
        killProgram(scene.autotorrent.config, 'heal');
        if (kill % 2 === 1) {
          await scene.unmount('SIGKILL');
          await verifying;
          await scene.mount();
        }
        seen.push(await moved());
        await verifying;
      }
      await waitUntil('all are settled', async () => (await moved()) === FILES, { limitMs: SETTLED_MS });
      test.diagnostic(`of ${FILES} files ${seen.join(', ')} were settled when something was killed`);
      const read = await readSeries(scene, series, series.episodes);
      assert.deepEqual(read, { good: FILES, wrong: [], failed: [] });
    } finally {
      await scene.end();
    }
  });
});

/** Asks the server itself: by the time that `show` has started, many are settled. */
async function sourcesOf(scene: Scene, { name }: Series): Promise<string[]> {
  const client = await ControlClient.connect(join(scene.autotorrent.statePath, 'socket'));
  assert.ok(client);
  const paths: string[] = [];
  for await (const { record } of client.cases.ofEntry(name)) paths.push(record.path.toString());
  return paths;
}

/** Gives each file another name, folder and mtime. Returns the new paths. */
function moveAll(scene: Scene, { episodes, folder }: Series): string[] {
  const to = join(scene.library, 'tidied');
  mkdirSync(to);
  return episodes.map(({ name }, i) => {
    const path = join(to, `episode ${i}.mkv`);
    utimesSync(join(folder, name), i, i);
    renameSync(join(folder, name), path);
    return path;
  });
}
