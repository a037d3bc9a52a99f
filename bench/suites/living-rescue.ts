/** What keeping costs: how long an editor waits that writes to a source, and how soon a deleted film is kept. */
import { rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { statePaths } from '../../src/config/state-paths.ts';
import { ControlClient } from '../../src/control/client.ts';
import type { ServerStatus } from '../../src/control/served.ts';
import type { Scene } from '../../test/survival/scene.ts';
import { MIB } from '../lib/access.ts';
import { LargeFile } from '../lib/large-file.ts';
import { absolute, type Row } from '../lib/row.ts';

/** Milliseconds between two questions. They go over the control socket: a command takes half a second for each. */
const ASK_MS = 10;
/** Where a tag lies, and its bytes: all in the first piece. */
const TAG_AT = 4096;
const TAG_BYTES = 8192;

async function connected({ autotorrent }: Scene): Promise<ControlClient> {
  const client = await ControlClient.connect(statePaths(autotorrent.statePath).socket);
  if (client === undefined) throw new Error('no server runs');
  return client;
}

function keptIn({ kept }: ServerStatus): { readonly files: number; readonly bytes: number } {
  const sum = (of: 'files' | 'bytes'): number => kept.reduce((total, one) => total + one[of], 0);
  return { files: sum('files'), bytes: sum('bytes') };
}

async function until(probe: () => Promise<boolean>): Promise<void> {
  while (!(await probe())) await sleep(ASK_MS);
}

/** A file that is seeded from the scene, and open in the mount while `work` runs. */
async function whileOpen(
  scene: Scene,
  bytes: number,
  work: (file: LargeFile, client: ControlClient) => Promise<void>,
): Promise<void> {
  const file = new LargeFile(scene, 'Large', bytes, 1);
  await scene.run('rebuild');
  await scene.mount();
  await scene.add([file]);
  const reader = await open(join(scene.autotorrent.storePath, file.name, `${file.name}.mkv`));
  try {
    await work(file, await connected(scene));
  } finally {
    await reader.close();
  }
}

/** A tag is written in place: until the editor's open(2) has ended, and what is kept when all is settled. */
export async function taggedInPlace(scene: Scene, bytes: number, targets: boolean): Promise<readonly Row[]> {
  const rows: Row[] = [];
  await whileOpen(scene, bytes, async ({ source }, client) => {
    await until(async () => ((await client.status()).leases?.held ?? 0) > 0);
    const began = performance.now();
    const editor = await open(source, 'r+');
    const waited = (performance.now() - began) / 1000;
    await editor.write(Buffer.alloc(TAG_BYTES, 'tag '), 0, TAG_BYTES, TAG_AT);
    await editor.close();
    let kept = { files: 0, bytes: 0 };
    await until(async () => {
      kept = keptIn(await client.status());
      return kept.files > 0 && kept.bytes < bytes / 2;
    });
    const size = `${Math.round(bytes / 1e6)} MB`;
    rows.push(
      absolute({
        name: `re-tagging a file of ${size} in place: the editor waits`,
        unit: 's',
        figures: [waited],
        target: targets ? { at_most: 1 } : undefined,
        better: 'lower',
      }),
      absolute({
        name: `the same: bytes kept, of which one piece changed`,
        unit: 'MiB',
        figures: [kept.bytes / MIB],
        target: { at_most: 1 },
        better: 'lower',
      }),
    );
  });
  return rows;
}

/** A film that is on the disk as a whole is deleted while it is open in the mount: until it is kept. */
export async function deletedWhileOpen(scene: Scene, bytes: number, targets: boolean): Promise<Row> {
  let seconds = Number.NaN;
  await whileOpen(scene, bytes, async ({ source }, client) => {
    const began = performance.now();
    rmSync(source);
    await until(async () => keptIn(await client.status()).files > 0);
    seconds = (performance.now() - began) / 1000;
  });
  return absolute({
    name: `deletion of a film of ${(bytes / 1e9).toFixed(1)} GB on ${scene.fileSystem.kind}: until it is kept, as the server says`,
    unit: 's',
    figures: [seconds],
    target: targets ? { at_most: 2 } : undefined,
    better: 'lower',
  });
}
