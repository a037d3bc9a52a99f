/** Names this build of autotorrent. A command never asks a process of another build, which may answer in other ways. */
import { readFile, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** The version, and the time of the program's files: during development many builds share a version. */
export async function thisBuild(): Promise<string> {
  const manifest = JSON.parse(await readFile(new URL('../../../../../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  const { mtimeMs } = await stat(fileURLToPath(import.meta.url));
  return `${manifest.version} of ${Math.trunc(mtimeMs)}`;
}
