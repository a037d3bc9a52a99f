/** `moved-sources.js FOLDER`: moves sources of a store from place to place, in one batch each time, until it is killed. */
import { pathToFileURL } from 'node:url';
import { silentLogger } from '../../../src/logger.ts';
import { Store } from '../../../src/store/store.ts';
import { openLevel } from '../../harness/volume.ts';
import { file, plan, source } from '../fixture.ts';

export const COUNT = 200;
const STATES = 3;

/** Where a source lies in a state: each moves to where another was. */
export const place = (i: number, state: number): Buffer => Buffer.from(`/disk/${state}/${(i + state) % COUNT}`);

async function move(folder: string): Promise<void> {
  const level = await openLevel(folder);
  const store = await Store.open(level, { logger: silentLogger, statePath: folder });
  if (store.entry('A') === undefined) {
    const sources = Array.from({ length: COUNT }, (_, i) => ({
      ...source('x'),
      path: place(i, 0),
      ctimeNs: 0n,
      handle: { type: 1, bytes: Buffer.from(`handle of ${i}`) },
      disk: 'uuid:1',
    }));
    await store.createEntry(plan('A', [file('T/a')], sources));
  }
  for (;;) {
    const first = [0, 1, 2].find((state) => store.living.sourcesAt(place(0, state)).length > 0) ?? 0;
    const next = (first + 1) % STATES;
    const changes = Array.from({ length: COUNT }, (_, i) => {
      const [id = -1] = store.living.sourcesAt(place(i, first));
      const was = store.source(id)!;
      const now = { ...was, path: place(i, next), ctimeNs: BigInt(next) };
      const doubt = next === 2 ? undefined : store.living.condition(id);
      const proven = doubt === undefined ? {} : { epoch: doubt.epoch };
      return { id, was, now, trusted: next !== 2, ...proven, how: `state ${next}` };
    });
    await store.living.changeSources(changes);
    process.stdout.write('moved');
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await move(process.argv[2] ?? '');
