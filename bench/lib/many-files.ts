/** Small files of a scene, some in a folder, and their torrent. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeTorrent } from '../../test/harness/make-torrent.ts';
import type { Scene } from '../../test/survival/scene.ts';
import { range } from './access.ts';

export interface ManyFiles {
  readonly name: string;
  readonly torrent: Buffer;
  /** Where they lie at first. */
  readonly folder: string;
  /** Their paths in the folder, and in the torrent. */
  readonly paths: readonly string[];
}

/** Writes files of 100 bytes into the library. */
export function manyFiles(scene: Scene, count: number, perFolder: number): ManyFiles {
  const content = range(count).map((i) => ({
    path: [`folder ${Math.floor(i / perFolder)}`, `file ${i}`],
    data: Buffer.alloc(100, `file ${i} `),
  }));
  const folder = join(scene.library, 'Many');
  for (const { path, data } of content) {
    const file = join(folder, ...path);
    if (Number(path[1]?.slice('file '.length)) % perFolder === 0) mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, data);
  }
  execFileSync('chown', ['-R', `${scene.person.uid}:${scene.person.gid}`, folder]);
  return {
    name: 'Many',
    torrent: makeTorrent({ name: 'Many', content }).raw,
    folder,
    paths: content.map(({ path }) => join(...path)),
  };
}
