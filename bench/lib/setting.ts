/** The set-up of most suites: a folder, an indexed collection, commands that must succeed, a clock. */
import { mkdir, rm } from 'node:fs/promises';
import { type Autotorrent, autotorrentIn, type Result } from '../../test/harness/autotorrent.ts';
import { makeFolder } from './interruption.ts';

/** Hands `work` an empty folder that is removed afterwards. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await makeFolder();
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Makes a configuration in `folder`, and indexes `disk` as its collection. */
export async function indexed(
  folder: string,
  disk: string,
  options: { readonly client?: readonly string[]; readonly general?: readonly string[] } = {},
): Promise<Autotorrent> {
  await mkdir(folder, { recursive: true });
  const autotorrent = await autotorrentIn({ folder, disks: [disk], ...options });
  done(await autotorrent.run('rebuild'));
  return autotorrent;
}

/** @throws Error where the command ended with an exit code that is not among `codes`. */
export function done({ code, stdout, stderr }: Result, codes: readonly number[] = [0]): string {
  if (!codes.includes(code)) throw new Error(`the command ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}

/** Gives the seconds that `action` took. */
export async function secondsOf(action: () => unknown): Promise<number> {
  const began = performance.now();
  await action();
  return (performance.now() - began) / 1000;
}

/** `add --dry-run` of the torrents in a folder: seconds. @throws Error where a torrent got no answer. */
export async function dryRun(
  autotorrent: Autotorrent,
  torrents: string,
  count: number,
  ...flags: readonly string[]
): Promise<number> {
  let stdout = '';
  const seconds = await secondsOf(async () => {
    stdout = done(await autotorrent.run('add', '--dry-run', 'json', ...flags, torrents), [0, 3]);
  });
  if ((JSON.parse(stdout) as unknown[]).length !== count) throw new Error('not every torrent was answered');
  return seconds;
}
