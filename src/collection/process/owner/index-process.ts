/**
 * The process that owns the LevelDB of one `db`: `index-process.js DB FOLDER BUILD [create]`.
 *
 * Commands start it (`client/start.ts`) and ask it over the socket in FOLDER; it ends a minute after the last of them.
 * The lock of the LevelDB decides which of several is the one: whoever has it may touch the socket, and nobody else. So
 * the socket that a killed process left behind is simply replaced, and a process that ends removes its own first.
 */
import { closeSync, writeSync } from 'node:fs';
import { AutotorrentError, framesOf, messageOf } from '../../../errors.ts';
import { createLogger, logUncaught } from '../../../logger.ts';
import { givenFoldersPath } from '../../../source/given-folders.ts';
import type { StartLine } from '../wire/start-line.ts';
import { GivenFoldersFile } from './given-folders-file.ts';
import { takeDatabase } from './take.ts';

/** Milliseconds without a client, after which it ends. */
const IDLE_MS = 60_000;
const START_LINES = 3;

const [db = '', folder = '', build = '', create] = process.argv.slice(2);
const log = createLogger('info', undefined, true);
logUncaught(log);
/** While commands look on: closed when it serves. */
let watched = true;

function tell(line: StartLine): void {
  if (!watched) return;
  try {
    writeSync(START_LINES, `${JSON.stringify(line)}\n`);
    if (!('waiting' in line)) closeSync(START_LINES);
  } catch {
    // The command that started this has ended. Another one may ask.
  }
  if (!('waiting' in line)) watched = false;
}

async function run(): Promise<void> {
  // LevelDB takes the modes of its files from here.
  process.umask(0o077);
  const ending = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => ending.abort());
  const taking = takeDatabase({
    db,
    folder,
    build,
    create: create === 'create',
    logger: log,
    signal: ending.signal,
    onWait: (holder) => tell({ waiting: holder }),
  });
  taking.catch(() => {}); // awaited below
  // LevelDB opens the database in a thread of its own: meanwhile the code that serves it is loaded.
  const [{ LevelCollection }, { serveIndex }] = await Promise.all([
    import('../../level/collection.ts'),
    import('./serve.ts'),
  ]);
  const database = await taking;
  if (database === undefined) {
    tell({ ready: true });
    return;
  }
  try {
    await serveIndex({
      collection: new LevelCollection(database),
      givenFolders: new GivenFoldersFile(givenFoldersPath(db), log),
      db,
      folder,
      build,
      idleMs: Number(process.env['AUTOTORRENT_INDEX_IDLE_MS'] ?? IDLE_MS) || IDLE_MS,
      signal: ending.signal,
      onListening: () => tell({ ready: true }),
      logger: log,
    });
  } finally {
    await database.close();
  }
}

try {
  await run();
} catch (error) {
  const known = error instanceof AutotorrentError ? error : undefined;
  const cause = known?.cause === undefined ? undefined : messageOf(known.cause);
  tell({ error: { code: known?.code ?? 'INDEX', message: messageOf(error), hint: known?.hint, cause } });
  log.error(messageOf(error));
  if (known === undefined) for (const line of framesOf(error)) log.error(line);
  process.exitCode = 1;
}
process.exit();
