/**
 * Serves an empty store, and prints how that went: `node serve-empty.js DRIVER MOUNT_POINT STATE [allow_other]`. SIGTERM unmounts.
 */
import { AutotorrentError, messageOf } from '../../../src/errors.ts';
import { chooseDriver } from '../../../src/fuse/choose-driver.ts';
import { createLogger } from '../../../src/logger.ts';
import { openCLibrary } from '../../../src/native/c-library.ts';
import { loadFileCalls } from '../../../src/native/files.ts';
import { loadProcessCalls } from '../../../src/native/process.ts';
import { anywhere } from '../../harness/anywhere.ts';
import { openVolume } from '../../harness/volume.ts';

/** A line of JSON. */
export type Served =
  | { readonly serving: true; readonly detail: string }
  | { readonly refused: string; readonly hint: string | undefined };

const [name = '', mountPoint = '', statePath = '', others] = process.argv.slice(2);
const logger = createLogger('warn');
const say = (served: Served): void => void process.stdout.write(`${JSON.stringify(served)}\n`);
const library = openCLibrary(logger);
const { fileSystem, close } = await openVolume(statePath, {
  logger,
  libc: loadFileCalls(library),
  access: anywhere(),
});
try {
  const { driver } = chooseDriver(name, { library, logger });
  const allowOther = others === 'allow_other';
  const mount = await driver.mount(fileSystem, { mountPoint, readOnly: false, allowOther });
  process.once('SIGTERM', () => void mount.unmount());
  say({ serving: true, detail: mount.describe() ?? '' });
  await mount.ended;
} catch (error) {
  say({ refused: messageOf(error), hint: error instanceof AutotorrentError ? error.hint : undefined });
}
await close();
loadProcessCalls(library).exitNow?.(0);
