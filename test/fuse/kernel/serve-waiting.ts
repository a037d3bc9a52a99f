/**
 * Serves files that are opened only once a message has come. Sends a message when it serves, one for each open that waits, and,
 * for each message, the number of open files.
 */
import { createKernelDriver } from '../../../src/fuse/kernel/driver.ts';
import { createLogger } from '../../../src/logger.ts';
import { openCLibrary } from '../../../src/native/c-library.ts';
import { CountedOperations } from '../../../src/vfs/counting.ts';
import type { MaybePromise } from '../../../src/vfs/operations.ts';
import { openVolume } from '../../harness/volume.ts';

class WaitingOperations extends CountedOperations {
  #go = (): void => {};
  readonly #waited = new Promise<void>((resolve) => {
    this.#go = resolve;
  });

  override async open(ino: number, flags: number): Promise<number> {
    process.send?.('waits');
    await this.#waited;
    const handle: MaybePromise<number> = super.open(ino, flags);
    return await handle;
  }

  go(): void {
    this.#go();
  }
}

const [mountPoint = '', statePath = ''] = process.argv.slice(2);
const logger = createLogger('info');
const volume = await openVolume(statePath, { logger });
const operations = new WaitingOperations(volume.fileSystem);
const mount = await createKernelDriver({ library: openCLibrary(logger), logger }).mount(operations, {
  mountPoint,
  readOnly: false,
  allowOther: false,
});
process.on('message', () => {
  operations.go();
  // After what the opens go on with.
  setTimeout(() => void volume.fileSystem.status().then(({ openFiles }) => process.send?.(openFiles)), 20);
});
process.on('SIGTERM', () => void mount.unmount());
process.send?.('serves');
await mount.ended;
await volume.close();
process.exit(0);
