/**
 * Our mount of a filled store, without matching and without clients.
 * `node dist/bench/lib/store-server.js STATE MOUNTPOINT DRIVER [PASSTHROUGH]` sends `ready` to its parent, and ends with SIGTERM.
 * With PASSTHROUGH (`auto`, `safe`, `off`) it takes leases on sources, as a server does. Told `unlooked`, it looks at no source
 * after it has read from it, until it is told `looked`; it answers with `ready`.
 */
import { join } from 'node:path';
import { Level } from 'level';
import { chooseDriver } from '../../src/fuse/choose-driver.ts';
import { LeaseKeeper } from '../../src/leases/lease-keeper.ts';
import { createLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { DescriptorBudget } from '../../src/native/descriptor-budget.ts';
import { loadFileCalls } from '../../src/native/files.ts';
import { loadProcessCalls } from '../../src/native/process.ts';
import { SourceConditions } from '../../src/server/source-conditions.ts';
import { ReadersLook } from '../../src/source/look-at-readers.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';
import { sourceLooks } from '../../src/source/source-looks.ts';
import { Store } from '../../src/store/store.ts';
import { FileSystem } from '../../src/vfs/file-system.ts';
import { anywhere } from '../../test/harness/anywhere.ts';

const [statePath = '', mountPoint = '', name = '', passthrough] = process.argv.slice(2);
const logger = createLogger('warn');
const level = new Level<Buffer, Buffer>(join(statePath, 'store'), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
await level.open();
const library = openCLibrary(logger);
const store = await Store.open(level, { logger, statePath });
const looks = sourceLooks(library);
let isLooking = true;
process.on('message', (told) => {
  isLooking = told !== 'unlooked';
  process.send?.('ready');
});
const leases = passthrough === undefined ? undefined : LeaseKeeper.start(library, logger);
const doubts = leases && new SourceConditions({ store, verifyReads: 'suspect', logger });
const fileSystem = new FileSystem({
  store,
  libc: loadFileCalls(library),
  logger,
  statePath,
  access: anywhere(),
  readersLook: new ReadersLook({ ownMounts: new OwnMounts(), ownFolders: [] }),
  looks: { ...looks, sameAs: (fd, identity) => !isLooking || looks.sameAs(fd, identity) },
  descriptors: DescriptorBudget.ofProcess(),
  owner: { uid: 0, gid: 0 },
  umask: 0o022,
  ...(leases && doubts && { doubts, leases: { leases, doubts } }),
  ...(passthrough === 'off' ? { passthrough } : {}),
});
const { driver } = chooseDriver(name, { library, logger });
const mount = await driver.mount(fileSystem, { mountPoint, allowOther: false, readOnly: false });
process.on('SIGTERM', () => void mount.unmount());
process.send?.('ready');
await mount.ended;
fileSystem.close();
await store.close();
await level.close();
await leases?.close();
loadProcessCalls(library).exitNow?.(0);
process.exit(0);
