/** What is kept, as far as it was looked at: by place and file. Paths are byte strings. */
import type { KeptUsage } from './kept-files.ts';
import type { KeptAt, KeptFound, KeptListed } from './messages.ts';

export class Usage {
  readonly #places = new Map<string, Map<string, number>>();

  /** Notes all that is kept in a place. */
  listed({ place, files }: KeptListed): void {
    this.#places.set(place, new Map(files.map((file) => [keyOf(file), file.bytes])));
  }

  /** Notes a file, also one that has changed. Unless its place was looked at, it is found by the look. */
  note(file: KeptFound): void {
    this.#places.get(file.place)?.set(keyOf(file), file.bytes);
  }

  knows(place: string): boolean {
    return this.#places.has(place);
  }

  bytesOf(file: KeptAt): number {
    return this.#places.get(file.place)?.get(keyOf(file)) ?? 0;
  }

  dropped(file: KeptAt): void {
    this.#places.get(file.place)?.delete(keyOf(file));
  }

  /** The bytes in a place, as far as it was looked at. */
  bytesIn(place: string): number {
    return sum(this.#places.get(place)?.values() ?? []);
  }

  /** The bytes in each place that was looked at. */
  get bytes(): Map<string, number> {
    return new Map([...this.#places].map(([place, files]) => [place, sum(files.values())]));
  }

  /** A place that has two names, or is a branch of another, counts once. */
  all(): KeptUsage[] {
    const seen = new Set<string>();
    return [...this.#places].flatMap(([place, files]) => {
      const own = [...files].filter(([key]) => !seen.has(key));
      for (const [key] of own) seen.add(key);
      if (own.length === 0) return [];
      const folder = Buffer.from(place, 'latin1').toString();
      return [{ folder, files: own.length, bytes: sum(own.map(([, bytes]) => bytes)) }];
    });
  }
}

const keyOf = ({ folder, name }: KeptAt): string => `${folder}/${name}`;

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
