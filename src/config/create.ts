/** Writes the commented example as a new configuration, with the clients that were found in it. */
import { lstat, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AutotorrentError, errnoOf, messageOf } from '../errors.ts';

const EXAMPLE = 'autotorrent.conf.example';

/** A section that is written: `client`, or `client-NAME`. */
export interface ClientSection {
  readonly name: string;
  /** Sentences that say where it comes from, or what it lacks. */
  readonly comments: readonly string[];
  /** In order, `client` among them. */
  readonly settings: Readonly<Record<string, string>>;
}

/**
 * Makes `file` from the package's example, `sections` in the place of its [client] where there are any: what the example
 * says of clients then stands below them as comments. Never overwrites. Only its owner can read it: it holds a password.
 * @throws AutotorrentError('CONFIG') where something of that name is there, or it cannot be written.
 */
export async function createConfig(file: string, sections: readonly ClientSection[] = []): Promise<void> {
  const text = withSections((await readExample()).toString('utf8'), sections);
  try {
    await writeFile(file, text, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    throw new AutotorrentError('CONFIG', refusal(file, error), { cause: error });
  }
}

/** @throws AutotorrentError('CONFIG') where `createConfig` would find something of that name */
export async function refuseExisting(file: string): Promise<void> {
  try {
    await lstat(file);
  } catch {
    return; // writing it says what is wrong, if anything is
  }
  throw new AutotorrentError('CONFIG', `Target '${file}' already exists, not creating`);
}

/** The text of a section; a value is written so that it is read as it is. */
export function sectionText({ name, comments, settings }: ClientSection): string {
  const lines = Object.entries(settings).map(([key, value]) => `${key} = ${value.replaceAll('%', '%%')}`);
  return [...comments.map((line) => `# ${line}`), `[${name}]`, ...lines].join('\n');
}

function withSections(example: string, sections: readonly ClientSection[]): string {
  if (sections.length === 0) return example;
  const [before = '', after = ''] = example.split(/^\[client\]$/m);
  const documented = after.trim().replaceAll(/^(?=[^#\n])/gm, '#');
  return `${before}${sections.map(sectionText).join('\n\n')}\n\n# What a section for a client may hold:\n#\n${documented}\n`;
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
