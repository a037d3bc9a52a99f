/** The exit codes that scripts rely on. */
import { AutotorrentError } from '../errors.ts';

export const EXIT = { done: 0, failed: 1, usage: 2, incomplete: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export function exitCodeOf(error: unknown): ExitCode {
  const wrongUse = error instanceof AutotorrentError && (error.code === 'USAGE' || error.code === 'CONFIG');
  return wrongUse ? EXIT.usage : EXIT.failed;
}
