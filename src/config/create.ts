/** Writes the commented example as a new configuration. */
import { readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AutotorrentError, errnoOf, messageOf } from '../errors.ts';

const EXAMPLE = 'autotorrent.conf.example';

/**
 * Makes `file` from the package's example. Never overwrites. Only its owner can read it: it will hold a password.
 * @throws AutotorrentError('CONFIG') where something of that name is there, or it cannot be written.
 */
export async function createConfig(file: string): Promise<void> {
  const text = await readExample();
  try {
    await writeFile(file, text, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    throw new AutotorrentError('CONFIG', refusal(file, error), { cause: error });
  }
}

function refusal(file: string, error: unknown): string {
  switch (errnoOf(error)) {
    case 'EEXIST':
      return `Target '${file}' already exists, not creating`;
    case 'ENOENT':
    case 'ENOTDIR':
      return `${file} cannot be created: there is no folder ${dirname(file)}`;
    default:
      return `${file} cannot be created: ${messageOf(error)}`;
  }
}

/** The example lies at the package's root: the nearest folder above this module that has it. */
async function readExample(): Promise<Buffer> {
  let folder = new URL('.', import.meta.url);
  for (;;) {
    try {
      return await readFile(new URL(EXAMPLE, folder));
    } catch (error) {
      const parent = new URL('..', folder);
      if (errnoOf(error) !== 'ENOENT' || parent.href === folder.href) {
        throw new AutotorrentError(
          'CONFIG',
          `${EXAMPLE} is missing from ${fileURLToPath(new URL('.', import.meta.url))}`,
          {
            hint: 'Install autotorrent again.',
            cause: error,
          },
        );
      }
      folder = parent;
    }
  }
}
