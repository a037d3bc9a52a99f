/**
 * Serves a store on a mount, in a process of its own: nothing may touch a mount from the process that serves it.
 * The first message is `ServeOptions`. It ends when the mount ends, and on SIGTERM.
 */
import { messageOf } from '../../src/errors.ts';
import { chooseDriver } from '../../src/fuse/choose-driver.ts';
import { LeaseKeeper } from '../../src/leases/lease-keeper.ts';
import { createLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadFileCalls } from '../../src/native/files.ts';
import { loadProcessCalls } from '../../src/native/process.ts';
import { SourceConditions } from '../../src/server/source-conditions.ts';
import { sourceLooks } from '../../src/source/source-looks.ts';
import { CountedOperations } from '../../src/vfs/counting.ts';
import { anywhere } from '../harness/anywhere.ts';
import { openVolume } from '../harness/volume.ts';
import type { Reply, Request, ServeOptions } from './messages.ts';

const logger = createLogger('info');
const reply = async (message: Reply): Promise<void> =>
  await new Promise((resolve) => process.send?.(message, undefined, undefined, () => resolve()));

/** Counts the calls of each operation. */
function counting<T extends object>(operations: T, calls: Record<string, number>): T {
  return new Proxy(operations, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function' || typeof name !== 'string') return value;
      return (...args: readonly unknown[]): unknown => {
        calls[name] = (calls[name] ?? 0) + 1;
        return Reflect.apply(value, target, args);
      };
    },
  });
}

async function serve({ driver: name, mountPoint, statePath, readOnly = false, leased }: ServeOptions): Promise<void> {
  const library = openCLibrary(logger);
  const access = anywhere();
  const leases = leased === true ? LeaseKeeper.start(library, logger) : undefined;
  const { store, fileSystem, close } = await openVolume(statePath, {
    logger,
    libc: loadFileCalls(library),
    access,
    ...(leases && {
      leases: { leases },
      looks: sourceLooks(library),
      doubts: (store) => new SourceConditions({ store, verifyReads: 'suspect', logger }),
    }),
  });
  const { driver } = chooseDriver(name, { library, logger });
  const operations = new CountedOperations(fileSystem);
  const calls: Record<string, number> = {};
  const mount = await driver.mount(counting(operations, calls), {
    mountPoint,
    readOnly,
    allowOther: process.getuid?.() === 0,
  });
  let answering = Promise.resolve();
  process.on('SIGTERM', () => void mount.unmount());
  process.on('message' as string, (message: Request) => {
    answering = answer(message).then(reply);
  });
  await reply({ ok: true });
  await mount.ended;
  await answering;
  await close();
  await leases?.close();
  loadProcessCalls(library).exitNow?.(0);
  process.exit(0);

  async function answer(request: Request): Promise<Reply> {
    try {
      switch (request.do) {
        case 'create': {
          const { plan } = request;
          await store.createEntry({ ...plan, sources: access.refuse(plan.sources) });
          await store.markAdded([plan.infoHash]);
          return { ok: true };
        }
        case 'addNames':
          await store.addNames(request.infoHash, request.names);
          return { ok: true };
        case 'remap': {
          const { infoHash, index, remap } = request;
          const since = await store.verificationBegun(infoHash);
          const was = (await store.file(infoHash, index))?.version ?? -1;
          const done = await store.living.remapFile(infoHash, index, {
            ...remap,
            was,
            since,
            epoch: store.living.epoch,
            how: 'was found elsewhere',
          });
          return done ? { ok: true } : { failed: 'the file has other extents by now' };
        }
        case 'remove':
          await store.removeEntry(request.infoHash);
          return { ok: true };
        case 'status': {
          const passed = fileSystem.backingCounts ?? { files: 0, changed: 0 };
          const counts = { ...operations.counts, known: mount.known, calls: { ...calls }, passed };
          return { ok: true, status: { ...(await fileSystem.status()), ...counts } };
        }
        default:
          await mount.unmount();
          return { ok: true };
      }
    } catch (error) {
      return { failed: messageOf(error) };
    }
  }
}

process.once('message' as string, (options: ServeOptions) => {
  serve(options).catch(async (error: unknown) => {
    await reply({ failed: messageOf(error) });
    process.exit(1);
  });
});
