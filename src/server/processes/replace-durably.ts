/** Replaces a small file of the state so that a crash leaves the old content or the new. */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AutotorrentError, messageOf } from '../../errors.ts';

/** Writes beside `path`, syncs, renames, and syncs the folder. @throws AutotorrentError('STORE') */
export async function replaceDurably(path: string, text: string): Promise<void> {
  try {
    const beside = `${path}.new`;
    // Left by a crash, or something that cannot be written to.
    await rm(beside, { force: true });
    const file = await open(beside, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
    const folder = await open(dirname(path), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (cause) {
    throw new AutotorrentError('STORE', `${path} cannot be written: ${messageOf(cause)}`, { cause });
  }
}
