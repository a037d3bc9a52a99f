/** What is kept on the disk of a scene: as the disk has it, as the server says, and as it was recorded when that was killed. */
import { cpSync, existsSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { StatusJson } from '../../src/cli/json.ts';
import type { KnownSource } from '../../src/control/cases-served.ts';
import { ControlClient } from '../../src/control/client.ts';
import { SOURCES } from '../../src/store/records/key.ts';
import { decodeSource } from '../../src/store/records/record.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { openLevel } from '../harness/volume.ts';
import type { Scene } from './scene.ts';

/** What `st_blocks` counts. */
const BLOCK = 512;

export const isKept = (source: string): boolean => source.includes('/.autotorrent/');

/** Lists the kept films on the disk. */
export function keptIn({ disk }: Pick<Scene, 'disk'>): string[] {
  const folder = join(disk, '.autotorrent');
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.mkv'))
    .map((path) => join(folder, path));
}

/** The room that the kept films take, as du(1) counts it. */
export function roomOfKept(scene: Pick<Scene, 'disk'>): number {
  return keptIn(scene).reduce(
    (sum, path) => sum + (lstatSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * BLOCK,
    0,
  );
}

/** The kept files and their room, as `status` says. */
export async function keptSaid({ autotorrent }: Scene): Promise<{ readonly files: number; readonly bytes: number }> {
  const { kept } = (await autotorrent.json('status')) as StatusJson;
  const sum = (of: 'files' | 'bytes'): number => kept.reduce((total, one) => total + one[of], 0);
  return { files: sum('files'), bytes: sum('bytes') };
}

/** Lists the kept files of which the running server has records. */
export async function keptRecords(scene: Scene): Promise<string[]> {
  return (await sources(scene)).map(({ record }) => record.path.toString()).filter(isKept);
}

/** Lists the sources of which the healer has decided what became of them. */
export async function changedSources(scene: Scene): Promise<string[]> {
  return (await sources(scene)).flatMap(({ record, last }) => (last === undefined ? [] : [record.path.toString()]));
}

async function sources({ autotorrent }: Scene): Promise<KnownSource[]> {
  const client = await ControlClient.connect(join(autotorrent.statePath, 'socket'));
  if (client === undefined) throw new Error('no server answers');
  const found: KnownSource[] = [];
  for await (const one of client.cases.below(Buffer.from('/'))) found.push(one);
  return found;
}

/** Lists the kept files that a server had recorded which was killed. Nothing is changed. */
export async function keptRecordsLeft({ autotorrent }: Scene): Promise<string[]> {
  const copy = temporaryFolder('killed');
  cpSync(join(autotorrent.statePath, 'store'), join(copy, 'store'), { recursive: true });
  const level = await openLevel(copy);
  try {
    const records = await level.values(SOURCES).all();
    return records.map((record) => decodeSource(record).path.toString()).filter(isKept);
  } finally {
    await level.close();
  }
}
