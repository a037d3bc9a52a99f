/** The digest of every file below a folder, by its path relative to it. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';

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
