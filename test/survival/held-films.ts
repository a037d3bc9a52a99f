/** Films that were read a moment ago, and are open in no client. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { StatusJson } from '../../src/cli/json.ts';
import { type Film, makeFilm, PIECES } from './films.ts';
import { Scene, type SceneOptions } from './scene.ts';

export async function descriptors(scene: Scene): Promise<StatusJson['descriptors']> {
  return ((await scene.autotorrent.json('status')) as StatusJson).descriptors;
}

/** Serves films on a file system of their own, each read once. */
export async function servedFilms(options: SceneOptions, ...names: readonly string[]): Promise<[Scene, Film[]]> {
  const general = ['on_loss = tell', 'scrub = off', ...(options.general ?? [])];
  const scene = await Scene.make({ ...options, general });
  const films = names.map((name, i) => makeFilm(`${name}.mkv`, i));
  for (const { name, bytes } of films) scene.write(join(scene.library, name), bytes);
  await scene.run('rebuild');
  await scene.mount();
  await scene.add(films);
  for (const film of films) assert.equal((await scene.read(film)).good, PIECES);
  return [scene, films];
}
