/** Makes temporary folders for a test file, and lists the contents of a folder. */
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '../../src/errors.ts';
import { isAtOrBelow, parseMounts } from '../../src/native/mountinfo.ts';

/** Every folder that this process made: a test file has a process of its own. */
const made: string[] = [];

/**
 * Makes an empty folder, which is removed when the test file's process ends, even after a failed test.
 * `purpose` is part of its name. A mount that is left below it fails the test file, and stays with the folder.
 */
export function temporaryFolder(purpose: string): string {
  if (made.length === 0) process.once('exit', removeAll);
  const folder = mkdtempSync(join(tmpdir(), `autotorrent-${purpose}-`));
  made.push(folder);
  return folder;
}

function removeAll(): void {
  const mounts = parseMounts(readFileSync('/proc/self/mountinfo')).map(({ path }) => path);
  for (const folder of made) {
    const left = mounts.filter((mount) => isAtOrBelow(mount, Buffer.from(folder)));
    try {
      // An index process may write for a while.
      if (left.length > 0) throw new Error(`the tests left a mount behind: ${left.join(', ')}`);
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
    } catch (error) {
      process.stderr.write(`${folder} stays: ${messageOf(error)}\n`);
      process.exitCode = 1;
    }
  }
}

/** Gives the digest of every file below a folder, by its path relative to it. */
export async function hashTree(folder: string, algorithm: 'sha1' | 'sha256' = 'sha1'): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const hash = createHash(algorithm);
    await pipeline(createReadStream(path), hash);
    hashes.set(relative(folder, path), hash.digest('hex'));
  }
  return hashes;
}
