/** A copy of the program that opens the index in its own process, rather than asking the index process. */
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Writes the copy into `folder`. Gives its main file. */
export async function directProgram(folder: string): Promise<string> {
  const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
  await mkdir(folder);
  await cp(join(root, 'package.json'), join(folder, 'package.json'));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  await cp(join(root, 'dist/src'), join(folder, 'dist/src'), { recursive: true });
  await cp(join(root, 'dist/bench/lib/open-directly.js'), join(folder, 'dist/bench/lib/open-directly.js'));
  await writeFile(
    join(folder, 'dist/src/collection/open.js'),
    "export { openCollection } from '../../bench/lib/open-directly.js';\n",
  );
  return join(folder, 'dist/src/main.js');
}
