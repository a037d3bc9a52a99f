/** Writes the films of events, each into a folder of its own. */
import { join } from 'node:path';
import type { Place, SurvivalEvent } from './events.ts';
import { type Film, makeFilm } from './films.ts';
import type { Scene } from './scene.ts';

export interface LaidEvent {
  readonly event: SurvivalEvent;
  readonly films: readonly Film[];
  readonly place: Place;
}

export function layEvents(scene: Scene, events: readonly SurvivalEvent[]): LaidEvent[] {
  return events.map((event, number) => {
    const folder = join(scene.library, `${number} ${event.name.replaceAll(/[^a-z0-9]+/gi, ' ')}`);
    const films = ['a', 'b']
      .slice(0, event.films ?? 1)
      .map((letter, i) => makeFilm(`Film ${number}${letter}.mkv`, 2 * number + i));
    const [film = '', other = ''] = films.map(({ name, bytes }) => {
      const path = join(folder, 'library', name);
      scene.write(path, bytes);
      return path;
    });
    const [elsewhere, outside] = [join(scene.elsewhere, `${number}`), join(scene.outside, `${number}`)];
    const place = { fileSystem: scene.fileSystem, folder, film, other, elsewhere, outside };
    event.prepare?.(place);
    return { event, films, place };
  });
}
