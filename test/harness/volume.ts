/** A store in a folder of its own and the file system over it, in this process. */
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Level } from 'level';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { DescriptorBudget } from '../../src/native/descriptor-budget.ts';
import { loadFileCalls } from '../../src/native/files.ts';
import type { SourceDoubts } from '../../src/source/doubts.ts';
import type { LeasedDoubts, LeaseOptions } from '../../src/source/leased-sources.ts';
import { ReadersLook } from '../../src/source/look-at-readers.ts';
import type { OwnFiles } from '../../src/source/own-files.ts';
import type { StoreLevel } from '../../src/store/records/database.ts';
import { Store } from '../../src/store/store.ts';
import { FileSystem, type FileSystemOptions } from '../../src/vfs/file-system.ts';
import { anywhere } from './anywhere.ts';
import { LOCAL_LOOKS } from './looks.ts';

/** Opens the LevelDB of the store in `statePath`, and makes it if there is none. */
export async function openLevel(statePath: string): Promise<StoreLevel> {
  await mkdir(statePath, { recursive: true });
  const level = new Level<Buffer, Buffer>(join(statePath, 'store'), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await level.open();
  return level;
}

/** Makes the file system over a store. Default: it belongs to this user and takes 022 from planned modes. */
export function fileSystemOver(store: Store, statePath: string, options: Partial<FileSystemOptions> = {}): FileSystem {
  const logger = options.logger ?? silentLogger;
  const access = options.access ?? anywhere();
  return new FileSystem({
    store,
    statePath,
    logger,
    libc: loadFileCalls(openCLibrary(logger)),
    access,
    // The temporary folders of tests are closed to others, and most tests are not about that.
    readersLook: new ReadersLook({ ownMounts: access.ownMounts, ownFolders: [statePath, tmpdir()] }),
    looks: LOCAL_LOOKS,
    descriptors: DescriptorBudget.ofProcess(),
    owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    umask: 0o022,
    ...options,
  });
}

export interface OpenVolume {
  readonly level: StoreLevel;
  readonly store: Store;
  readonly fileSystem: FileSystem;
  /** Closes all three, as a server does at its end. */
  readonly close: () => Promise<void>;
}

/** Opens the store in `statePath` and the file system over it. */
export async function openVolume(
  statePath: string,
  options: Partial<Omit<FileSystemOptions, 'doubts' | 'leases'>> & {
    readonly poolPath?: string;
    /** What is kept of files that changed. Default: nothing is. */
    readonly kept?: OwnFiles;
    /** Makes what doubts the sources of the store. Default: nothing does. */
    readonly doubts?: (store: Store) => SourceDoubts & LeasedDoubts;
    /** Leases are taken on sources. Default: none are. */
    readonly leases?: Omit<LeaseOptions, 'doubts'> | undefined;
  } = {},
): Promise<OpenVolume> {
  const { poolPath, kept, doubts: makeDoubts, leases, ...fileSystemOptions } = options;
  const level = await openLevel(statePath);
  const store = await Store.open(level, {
    logger: options.logger ?? silentLogger,
    statePath,
    ...(poolPath === undefined ? {} : { poolPath }),
    ...(kept === undefined ? {} : { kept }),
  });
  const doubts = makeDoubts?.(store);
  const fileSystem = fileSystemOver(store, statePath, {
    ...fileSystemOptions,
    doubts,
    leases: leases && doubts && { ...leases, doubts },
  });
  return {
    level,
    store,
    fileSystem,
    async close() {
      fileSystem.close();
      await store.close();
      await level.close();
    },
  };
}
