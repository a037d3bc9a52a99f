/** `remapped-file.js FOLDER`: gives a file of a store other extents again and again, until it is killed. */
import { pathToFileURL } from 'node:url';
import { type Extent, GAP } from '../../../src/extent/extent.ts';
import { silentLogger } from '../../../src/logger.ts';
import type { PlanSource } from '../../../src/plan/plan.ts';
import { Store } from '../../../src/store/store.ts';
import { openLevel } from '../../harness/volume.ts';
import { file, hashOf, plan, source } from '../fixture.ts';

export const LENGTH = 300;
export const PIECE = 100;

export interface State {
  readonly extents: readonly Extent[];
  readonly sources: readonly PlanSource[];
  readonly proven: readonly number[];
}

const large = (name: string): PlanSource => ({ ...source(name), size: LENGTH });
const whole: Extent = { offset: 0, length: LENGTH, source: 0, sourceOffset: 0 };
const half: Extent = { offset: 0, length: 150, source: 0, sourceOffset: 0 };

/** The states that follow each other. The first is that of the plan. */
export const STATES: readonly State[] = [
  { extents: [whole], sources: [large('x')], proven: [0, 1, 2] },
  { extents: [whole], sources: [large('yy')], proven: [0] },
  { extents: [half, { offset: 150, length: 150, source: GAP, sourceOffset: 0 }], sources: [large('zzz')], proven: [0] },
];

async function remapOnAndOn(folder: string): Promise<void> {
  const level = await openLevel(folder);
  const store = await Store.open(level, { logger: silentLogger, statePath: folder });
  const infoHash = hashOf('A');
  if (store.entry('A') === undefined) {
    const { extents, sources } = STATES[0]!;
    const files = [file('T/a', 0, { length: LENGTH, extents }), file('T/b', 0)];
    await store.createEntry({
      ...plan('A', files, sources),
      pieceLength: PIECE,
      pieceCount: 4,
      verified: Buffer.from([0b1110_0000]),
    });
  }
  for (;;) {
    const { version, base } = (await store.file(infoHash, 0))!;
    const [first] = base;
    const path = store.source(first!.source)!.path;
    const state = (STATES.findIndex(({ sources }) => sources[0]!.path.equals(path)) + 1) % STATES.length;
    const since = await store.verificationBegun(infoHash);
    const { epoch } = store.living;
    await store.living.remapFile(infoHash, 0, { ...STATES[state]!, was: version, since, epoch, how: `state ${state}` });
    process.stdout.write('mapped');
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await remapOnAndOn(process.argv[2] ?? '');
