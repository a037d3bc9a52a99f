/** The facts that a run's figures depend on. */
import { spawnSync } from 'node:child_process';
import { readFileSync, statfsSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, release, tmpdir, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly processors: number;
  readonly memory_bytes: number;
  readonly arch: string;
  readonly kernel: string;
  /** The kernel's magic number for the file system of the folder for temporary files, in hex. */
  readonly temporary_files: string;
  /** The load average of the last minute at the start of the run. */
  readonly load: number;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    processors: availableParallelism(),
    memory_bytes: totalmem(),
    arch: arch(),
    kernel: release(),
    temporary_files: statfsSync(tmpdir()).type.toString(16),
    load: loadavg()[0] ?? 0,
  };
}

export interface Commit {
  /** Undefined outside a clone, or without git. */
  readonly commit?: string;
  /** True if files that git tracks were changed. */
  readonly changed?: boolean;
}

export function commit(): Commit {
  const id = said('git', ['rev-parse', 'HEAD']);
  if (id === undefined || !/^[0-9a-f]{40,64}$/.test(id)) return {};
  return { commit: id, changed: said('git', ['status', '--porcelain', '--untracked-files=no']) !== '' };
}

/** The installed programs that figures depend on, each with the line in which it prints its version. */
export function versions(): Record<string, string> {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  const asked: Record<string, readonly [command: string, flag: string]> = {
    openssl: ['openssl', 'version'],
    find: ['find', '--version'],
    rtorrent: ['rtorrent', '-h'],
    deluge: ['deluged', '--version'],
    transmission: ['transmission-daemon', '--version'],
    qbittorrent: ['qbittorrent-nox', '--version'],
  };
  const found = Object.entries(asked).map(([name, [command, flag]]) => [name, said(command, [flag])?.split('\n')[0]]);
  return {
    autotorrent: version,
    node: process.version,
    ...Object.fromEntries(found.filter(([, line]) => line !== undefined && line !== '')),
  };
}

/** Gives a program's output; undefined if it cannot be started. Some exit with another status than 0. */
function said(command: string, args: readonly string[]): string | undefined {
  const { error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 10_000 });
  return error === undefined ? `${stdout}${stderr}`.trim() : undefined;
}
