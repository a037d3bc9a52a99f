/** What the tests of kept files share: a keeper with folders of its own, and what is asked of it. */
import assert from 'node:assert/strict';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { openKeptFiles } from '../../src/rescue/keeper.ts';
import type { Keeping, KeptFiles, KeptFilesOptions, ToKeep } from '../../src/rescue/kept-files.ts';
import { openFileSystems } from '../../src/source/file-system.ts';
import { identityOf } from '../../src/source/identity.ts';
import { ReleasedFolders } from '../../src/source/released-folders.ts';

export const MIB = 1024 * 1024;
export const ID = '0123456789abcdef0123456789abcdef';

/** Opens a keeper for sources on `disk`, with its pool in `base`. */
export function keeperOn(disk: string, base: string, options: Partial<KeptFilesOptions> = {}): KeptFiles {
  return openKeptFiles({
    folders: async () => [Buffer.from(disk)],
    fileSystems: openFileSystems(openCLibrary(silentLogger)),
    pool: join(base, 'index.pool'),
    state: { id: ID, path: join(base, 'state') },
    limit: 64 * MIB,
    total: 2048 * MIB,
    expendable: () => [],
    letGo: async () => true,
    released: new ReleasedFolders(),
    logger: silentLogger,
    ...options,
  });
}

/** Asks for a file: all of it, unless it is told otherwise. `between` is done after it was opened. */
export async function keepFile(
  keeper: KeptFiles,
  path: string,
  asked: Partial<ToKeep> = {},
  between: () => Promise<void> = async () => {},
): Promise<Keeping> {
  const fd = openSync(path, 'r');
  try {
    const identity = identityOf(fstatSync(fd, { bigint: true }));
    const ranges = [{ offset: 0, length: identity.size }];
    await between();
    return await keeper.keep({ fd, path: Buffer.from(path), identity, ranges, readers: 'nobody', ...asked });
  } finally {
    closeSync(fd);
  }
}

type Kept = Extract<Keeping, { kind: 'kept' }>;

export async function kept(...asked: Parameters<typeof keepFile>): Promise<Kept & { readonly at: string }> {
  const keeping = await keepFile(...asked);
  assert.equal(keeping.kind, 'kept', inspect(keeping));
  return { ...keeping, at: keeping.path.toString() };
}

/** Why a file was not kept. */
export async function refused(...asked: Parameters<typeof keepFile>): Promise<string> {
  const keeping = await keepFile(...asked);
  return keeping.kind === 'kept' ? `kept as ${keeping.path.toString()}` : keeping.why;
}
