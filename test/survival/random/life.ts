/**
 * A server and its healer over sources to which random things happen, while they are read through the mount, and while both are
 * killed. Two things must hold: no block that was read is wrong, and when all is settled every block that lies whole on the
 * disks is served.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pieces } from '../../harness/piece-reader.ts';
import { Random } from '../../stress/random.ts';
import { killProgram, Scene } from '../scene.ts';
import { type RandomFile, World } from './world.ts';

export interface LifeOptions {
  readonly seed: number;
  readonly rounds: number;
  /** Kills the server, the healer or both in each round. */
  readonly kills: boolean;
  /** Rounds between two times that all is settled and compared. */
  readonly settleEvery: number;
}

/** Events of a round, and milliseconds between two of them. */
const EVENTS: readonly [number, number] = [2, 6];
const BETWEEN_MS: readonly [number, number] = [0, 300];
/** Milliseconds after the beginning of a round at which something is killed. */
const KILL_MS: readonly [number, number] = [0, 1500];
/** The window of a file system with exact times (docs/sources.md, "The windows"), and the way of an answer. */
const WINDOW_MS = 30;
const SETTLED_MS = 150_000;
const READERS = 2;

/** What went wrong, for a person who has to find out why. */
export class LifeFailed extends Error {}

export class Life {
  readonly #options: LifeOptions;
  readonly #random: Random;
  readonly #scene: Scene;
  readonly world: World;
  /** Blocks that were right, and passes over files, so that a test can tell that something was read. */
  readonly counts = { events: 0, kills: 0, right: 0, unread: 0, settledMs: [] as number[] };

  private constructor(options: LifeOptions, random: Random, scene: Scene) {
    this.#options = options;
    this.#random = random;
    this.#scene = scene;
    this.world = new World({ library: scene.library, elsewhere: scene.elsewhere }, random);
  }

  /** Lives through all rounds. @throws LifeFailed */
  static async live(options: LifeOptions): Promise<Life['counts']> {
    const scene = await Scene.make({
      kind: 'ext4',
      person: 'root',
      // With gaps, a client would have to download what is there again later.
      general: ['on_loss = tell', 'scrub = off'],
    });
    try {
      const life = new Life(options, new Random(options.seed), scene);
      await life.#live();
      return life.counts;
    } catch (error) {
      if (process.env['SURVIVAL_OUTPUT'] !== undefined) console.error(scene.output());
      throw error;
    } finally {
      await scene.end();
    }
  }

  async #live(): Promise<void> {
    const { rounds, settleEvery } = this.#options;
    await this.#scene.run('rebuild');
    await this.#scene.mount();
    await this.#scene.add(this.world.torrents);
    await this.#settle('at first');
    for (let round = 1; round <= rounds; round++) {
      this.#say(`round ${round}`);
      await this.#round();
      if (round % settleEvery === 0 || round === rounds) await this.#settle(`after round ${round}`);
    }
    await this.#scene.unmount();
    await this.#scene.mount();
    await this.#settle('after a restart');
  }

  async #round(): Promise<void> {
    const random = this.#random;
    const pauses = Array.from({ length: random.between(...EVENTS) }, () => random.between(...BETWEEN_MS));
    const killed = this.#options.kills ? random.pick(['server', 'healer', 'both'] as const) : undefined;
    const killAt = random.between(...KILL_MS);
    const startKilled = random.chance(0.2) ? random.between(50, 600) : undefined;
    const stop = new AbortController();
    const reading = Array.from({ length: READERS }, (_, i) => this.#read(i, stop.signal));
    const events = async (): Promise<void> => {
      for (const pause of pauses) {
        const { what } = await this.world.happen();
        this.counts.events++;
        this.#say(what);
        await sleep(pause);
      }
    };
    const kill = async (): Promise<void> => {
      if (killed === undefined) return;
      await sleep(killAt);
      this.counts.kills++;
      this.#say(`kill ${killed}`);
      if (killed !== 'server') killProgram(this.#scene.autotorrent.config, 'heal');
      if (killed === 'healer') return;
      await this.#scene.unmount('SIGKILL');
      if (startKilled !== undefined) await this.#killStarting(startKilled);
      await this.#scene.mount();
      this.#say('mounted again');
    };
    try {
      // If one fails, the other must not mount again later.
      for (const ended of await Promise.allSettled([events(), kill()])) {
        if (ended.status === 'rejected') throw ended.reason;
      }
      await sleep(WINDOW_MS);
      for (const file of this.world.files) await this.#readOnce(file);
    } finally {
      stop.abort();
      await Promise.all(reading);
    }
  }

  /** Kills a server before it serves. */
  async #killStarting(after: number): Promise<void> {
    const starting = this.#scene.autotorrent.mount().catch(() => undefined);
    await sleep(after);
    killProgram(this.#scene.autotorrent.config, 'mount');
    await starting;
  }

  /** Reads one file after the other until it is stopped. */
  async #read(nth: number, signal: AbortSignal): Promise<void> {
    const { files } = this.world;
    for (let i = nth * 7; !signal.aborted; i++) {
      await this.#readOnce(files[i % files.length]!);
      await sleep(20);
    }
  }

  async #readOnce(file: RandomFile): Promise<Pieces> {
    const from = performance.now();
    const pieces = await this.#scene.reader.piecesOf([join(this.#scene.autotorrent.storePath, file.shown)], file);
    const to = performance.now();
    this.counts.right += pieces.good;
    this.counts.unread += pieces.unread.length;
    if (pieces.wrong.length > 0 && !this.#inWindow(from, to)) {
      await this.#fail(`wrong blocks ${pieces.wrong.join(', ')} of ${file.shown}`, file);
    }
    return pieces;
  }

  /** Tells if a file was being written to in place, or is now. */
  #inWindow(from: number, to: number): boolean {
    const { busyInPlace, log } = this.world;
    return busyInPlace || log.some((one) => one.inPlace && one.from < to && one.to + WINDOW_MS > from);
  }

  /** Waits until all that lies whole on the disks is served. */
  async #settle(when: string): Promise<void> {
    const began = performance.now();
    this.#say(`settle ${when}`);
    const whole = this.world.wholeBlocks();
    for (let attempt = 0; ; attempt++) {
      const missing: string[] = [];
      let one: RandomFile | undefined;
      for (const [file, blocks] of whole) {
        const { unread, failed, wrong } = await this.#readOnce(file);
        const wanted = [...unread, ...wrong].filter((block) => blocks[block]);
        if (wanted.length === 0) continue;
        one ??= file;
        missing.push(`${file.shown}: ${wanted.join(' ')} (${JSON.stringify(failed)})`);
      }
      if (one === undefined) break;
      if (performance.now() - began > SETTLED_MS) await this.#fail(`${when}, not served: ${missing.join('; ')}`, one);
      this.#say(`missing ${missing.join('; ')}`);
      await this.#scene.autotorrent.run(attempt === 0 ? 'rebuild' : 'verify');
    }
    this.counts.settledMs.push(Math.round(performance.now() - began));
    this.#say(`settled in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }

  async #fail(what: string, { shown }: RandomFile): Promise<never> {
    const [name = ''] = shown.split('/');
    const { stdout } = await this.#scene.autotorrent.run('--json', 'show', name);
    const events = this.world.log.map((one) => `${one.from.toFixed(0)} ${one.what}`).join('\n');
    throw new LifeFailed(`seed ${this.#options.seed}: ${what}\n${events}\n${stdout}\n${this.#scene.output()}`);
  }

  #say(what: string): void {
    if (process.env['SURVIVAL_OUTPUT'] !== undefined) console.error(`${performance.now().toFixed(0)} ${what}`);
  }
}
