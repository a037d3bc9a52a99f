import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DiskNamed, DiskTurns, poolThreads } from '../../src/source/disk-turns.ts';

/** Calls that end when they are told to. */
class Calls {
  readonly begun: string[] = [];
  readonly #ends = new Map<string, () => void>();
  readonly #turns: DiskTurns;

  constructor(threads: number) {
    this.#turns = new DiskTurns({ diskHolding: async () => disk(0) }, threads);
  }

  ask(name: string, on: DiskNamed): void {
    void this.#turns.take(on, async () => {
      this.begun.push(name);
      await new Promise<void>((end) => this.#ends.set(name, end));
    });
  }

  async end(name: string): Promise<void> {
    this.#ends.get(name)?.();
    await new Promise(setImmediate);
  }
}

const disk = (dev: number): DiskNamed => ({ dev, local: true });
const server = (dev: number): DiskNamed => ({ dev, local: false });

describe('turns at disks', () => {
  it('lets one disk have four threads, in the order of asking, and the next disk go at once', async () => {
    const calls = new Calls(64);
    for (let i = 0; i < 6; i++) calls.ask(`a${i}`, disk(1));
    calls.ask('b0', disk(2));
    assert.deepEqual(calls.begun, ['a0', 'a1', 'a2', 'a3', 'b0']);
    await calls.end('a2');
    assert.deepEqual(calls.begun.slice(5), ['a4']);
    await calls.end('b0');
    assert.equal(calls.begun.length, 6);
    await calls.end('a0');
    assert.deepEqual(calls.begun.slice(6), ['a5']);
  });

  it('leaves half of its threads to local disks, and a quarter of the pool to the store', () => {
    const calls = new Calls(16);
    for (let dev = 1; dev <= 4; dev++) for (let i = 0; i < 4; i++) calls.ask(`server${dev} ${i}`, server(dev));
    assert.equal(calls.begun.length, 6);
    for (let dev = 5; dev <= 8; dev++) for (let i = 0; i < 4; i++) calls.ask(`disk${dev} ${i}`, disk(dev));
    assert.equal(calls.begun.length, 12);
  });

  it('has a thread for each of some disks even in the smallest pools', async () => {
    const calls = new Calls(4);
    for (const dev of [1, 2, 3]) for (let i = 0; i < 2; i++) calls.ask(`${dev} ${i}`, disk(dev));
    assert.deepEqual(calls.begun, ['1 0', '2 0', '3 0']);
    await calls.end('2 0');
    assert.deepEqual(calls.begun.slice(3), ['2 1']);
    const one = new Calls(1);
    one.ask('only', server(1));
    assert.deepEqual(one.begun, ['only']);
  });

  it('gives the turn on after a call that fails, and passes the failure on', async () => {
    const turns = new DiskTurns({ diskHolding: async () => disk(1) }, 4);
    const turn = await turns.at(Buffer.from('/a'));
    await assert.rejects(
      turn(async () => await Promise.reject(new Error('no such file'))),
      /no such file/,
    );
    assert.equal(await turn(async () => 'read'), 'read');
  });

  it('knows the size of the pool as libuv does', () => {
    assert.deepEqual(
      [undefined, '64', '0', 'many', '5000'].map((size) => poolThreads(size)),
      [4, 64, 1, 1, 1024],
    );
  });
});
