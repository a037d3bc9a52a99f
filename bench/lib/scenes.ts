/** Scenes of `test/survival` for a suite: each has a limit of time, and none is left, whatever happens in it. */
import { Scene, type SceneOptions } from '../../test/survival/scene.ts';

/** The time that a part of a suite has. */
export class TimeLimit {
  readonly #ms: number;
  readonly #began = performance.now();

  constructor(seconds: number) {
    this.#ms = seconds * 1000;
  }

  /** Tells if another round is to be measured: all of them where the time allows it, else the first alone. */
  allows(round: number, rounds: number): boolean {
    const spent = performance.now() - this.#began;
    return round < rounds && (round === 0 || spent + spent / round < this.#ms);
  }

  /** Waits for `work`. @throws Error when the time is over; the work's own failure no longer matters then */
  async of<T>(work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<never>((_, reject) => {
      const left = Math.max(0, this.#began + this.#ms - performance.now());
      timer = setTimeout(() => reject(new Error(`not within ${this.#ms / 1000} s`)), left);
    });
    work.catch(() => {});
    try {
      return await Promise.race([work, over]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Gives `work` a scene. It ends with the work, or when the time is over. @throws Error when the time is over */
export async function withScene<T>(
  options: SceneOptions,
  limit: TimeLimit,
  work: (scene: Scene) => Promise<T>,
): Promise<T> {
  const scene = await Scene.make(options);
  try {
    return await limit.of(work(scene));
  } finally {
    await scene.end();
  }
}
