/** Films with pins (`protect`): a server that seeds them, and what can be asked of it. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { waitUntil } from '../harness/daemon.ts';
import type { FileSystemKind } from '../harness/file-systems.ts';
import type { Person } from '../harness/person.ts';
import { type Film, makeFilm, PIECES } from './films.ts';
import { Scene } from './scene.ts';

/** The pins of a disk: their paths. */
export function pinsOn({ fileSystem }: Scene, disk = fileSystem.path): string[] {
  const own = join(disk, '.autotorrent');
  const names = (folder: string): string[] => {
    try {
      return readdirSync(folder).map((name) => join(folder, name));
    } catch {
      return [];
    }
  };
  return names(own)
    .filter((path) => path.includes('/pins-'))
    .flatMap(names)
    .flatMap(names);
}

export interface Pinned {
  readonly scene: Scene;
  readonly films: readonly Film[];
  readonly pathOf: (film: Film) => string;
}

/** A server that seeds films, each of which has a pin when `work` begins. */
export async function pinned(
  kind: FileSystemKind,
  protect: string,
  count: number,
  work: (library: Pinned) => Promise<void>,
  person: Person['name'] = 'root',
  more: readonly string[] = [],
): Promise<void> {
  const scene = await Scene.make({ kind, person, general: [`protect = ${protect}`, 'on_loss = tell', ...more] });
  try {
    const films = Array.from({ length: count }, (_, i) => makeFilm(`Film ${i}.mkv`, i));
    const pathOf = ({ name }: Film): string => join(scene.library, name);
    for (const film of films) scene.write(pathOf(film), film.bytes);
    await scene.run('rebuild');
    await scene.mount();
    await scene.add(films);
    await waitUntil('the pins', async () => pinsOn(scene).length === count);
    await work({ scene, films, pathOf });
  } finally {
    await scene.end();
  }
}

/** Reads all of a film through the mount: each piece is there. */
export async function isWhole(scene: Scene, film: Film): Promise<void> {
  const { good, wrong } = await scene.read(film);
  assert.deepEqual([good, wrong], [PIECES, []], film.name);
}
