/** Writes the commented example as a new configuration, with the clients that were found. */
import { randomBytes } from 'node:crypto';
import { link, lstat, open, readFile, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AutotorrentError, errnoOf, messageOf } from '../errors.ts';
import { printable } from '../printable.ts';

const EXAMPLE = 'autotorrent.conf.example';

/** A section to write: `client`, or `client-NAME`. */
export interface ClientSection {
  readonly name: string;
  /** Sentences about its origin, or what it lacks. */
  readonly comments: readonly string[];
  /** The settings in order, `client` among them. */
  readonly settings: Readonly<Record<string, string>>;
}

/**
 * Makes `file` from the package's example. `sections`, if any, replace its [client], whose comments then stand below
 * them. Never overwrites a file. Only its owner can read it, since it holds a password.
 * @throws AutotorrentError('CONFIG') if the name is taken, or the file cannot be written
 */
export async function createConfig(file: string, sections: readonly ClientSection[] = []): Promise<void> {
  const text = withSections((await readExample()).toString('utf8'), sections);
  try {
    await writeNew(file, text);
  } catch (error) {
    throw new AutotorrentError('CONFIG', refusal(file, error), { cause: error });
  }
}

/** File systems without hard links (vfat, some network disks) answer so. */
const NO_LINKS: ReadonlySet<string | undefined> = new Set(['EPERM', 'ENOSYS', 'EOPNOTSUPP', 'ENOTSUP', 'EMLINK']);
const PRIVATE = 0o600;

/**
 * Makes `file`, whole or not at all: it gets its name once its bytes are on the disk. link(2) and O_EXCL follow no symlink in
 * place of the file, and replace nothing.
 */
async function writeNew(file: string, text: string): Promise<void> {
  const unfinished = join(dirname(file), `.autotorrent-${randomBytes(8).toString('hex')}.new`);
  const written = await open(unfinished, 'wx', PRIVATE);
  try {
    await written.writeFile(text);
    await written.sync();
    const { dev, ino } = await written.stat();
    try {
      await link(unfinished, file);
    } catch (error) {
      if (!NO_LINKS.has(errnoOf(error))) throw error;
      await writeFile(file, text, { flag: 'wx', mode: PRIVATE, flush: true });
      return;
    }
    const made = await lstat(file);
    if (made.dev !== dev || made.ino !== ino) throw new Error('somebody else put another file in its place');
  } finally {
    await written.close();
    await unlink(unfinished).catch(() => {});
  }
}

/** @throws AutotorrentError('CONFIG') if `createConfig` would find the name taken */
export async function refuseExisting(file: string): Promise<void> {
  try {
    await lstat(file);
  } catch {
    return; // writing it reports any fault
  }
  throw new AutotorrentError('CONFIG', `Target '${file}' already exists, not creating`);
}

/** Formats a section, so that each value is read back as it is. */
export function sectionText({ name, comments, settings }: ClientSection): string {
  // An indented line goes on with the value above it: no value can begin a setting of its own.
  const valueOf = (value: string): string => value.replaceAll('%', '%%').replaceAll(/\r\n|\n|\r/g, '\n  ');
  const lines = Object.entries(settings).map(([key, value]) => `${key} = ${valueOf(value)}`);
  return [...comments.map((line) => `# ${printable(line)}`), `[${name}]`, ...lines].join('\n');
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

/** Reads the example at the package's root: the nearest folder above this module that has it. */
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
