/** Which build of autotorrent this is: a process of another one is not asked, as it may answer in other ways. */
import { readFile, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** The version, and when the program's files were made: during development many builds share a version. */
export async function thisBuild(): Promise<string> {
  const manifest = JSON.parse(await readFile(new URL('../../../../../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
  };
  const { mtimeMs } = await stat(fileURLToPath(import.meta.url));
  return `${manifest.version} of ${Math.trunc(mtimeMs)}`;
}
