/**
 * The id of a state: a file beside the store's records, which is lost with them. So what was kept for a state that was lost is
 * told from what is kept for this one.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';

const NAME = 'rescue-id';
const ID = /^[0-9a-f]{32}$/;

/** Reads the id of the state whose records lie in `folder`, or makes it. @throws errors of the disk */
export function stateIdIn(folder: string): string {
  const path = join(folder, NAME);
  const known = readId(path);
  if (known !== undefined) return known;
  const id = randomBytes(16).toString('hex');
  const fd = openSync(`${path}.new`, 'w', 0o600);
  try {
    writeSync(fd, id);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${path}.new`, path);
  return id;
}

/** Undefined: there is none, or it is damaged. */
function readId(path: string): string | undefined {
  try {
    const id = readFileSync(path, 'latin1');
    return ID.test(id) ? id : undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
