/** A thread that looks at who may read sources. A message is a list of paths, the answer a list of what it found. */
import { parentPort, workerData } from 'node:worker_threads';
import { silentLogger } from '../logger.ts';
import { loadAccessListCallSync } from '../native/access-list.ts';
import { openCLibrary } from '../native/c-library.ts';
import { ReadersLook } from './look-at-readers.ts';
import { callsAtOnce } from './look-calls.ts';
import { OwnMounts } from './own-mounts.ts';
import type { Readers } from './readers.ts';
import type { LooksAnswer, LooksQuestion, LooksSettings } from './readers-thread.ts';

const port = parentPort;
if (port === null) throw new Error('readers-worker runs as a worker thread only');
const { ownFolders }: LooksSettings = workerData;
const calls = callsAtOnce(loadAccessListCallSync(openCLibrary(silentLogger)));
const look = new ReadersLook({ ownMounts: new OwnMounts(), ownFolders, calls });

async function answer({ question, paths }: LooksQuestion): Promise<LooksAnswer> {
  const readers: (Readers | undefined)[] = [];
  for (const path of paths) readers.push(await look.atPath(Buffer.from(path, 'latin1')));
  return { question, readers };
}

port.on('message', (question: LooksQuestion) => {
  void answer(question).then((found) => port.postMessage(found));
});
