/**
 * One operation on a folder. An operation is data with everything that is needed to repeat it, so that a run can be replayed,
 * and shortened, without its generator.
 *
 * Paths are relative to the folder. Handles are numbers that the generator chose, and stand for open files.
 */

/** The bytes that a write writes. */
export type Fill =
  | { readonly kind: 'random'; readonly seed: number }
  | { readonly kind: 'zeros' }
  /** The bytes that a file of the fixture had in the beginning, at the position of the write. */
  | { readonly kind: 'original'; readonly file: string };

/** utimensat(2) takes a time, the present, or nothing. */
export type SetTime = readonly [seconds: number, nanoseconds: number] | 'now' | 'omit';

interface Range {
  readonly handle: number;
  readonly position: number;
  readonly length: number;
}

export type Operation =
  | {
      readonly do: 'open';
      readonly path: string;
      readonly flags: number;
      readonly mode: number;
      readonly handle: number;
    }
  | { readonly do: 'close'; readonly handle: number }
  | ({ readonly do: 'read' | 'mapRead' } & Range)
  | ({ readonly do: 'write' | 'mapWrite'; readonly fill: Fill } & Range)
  /** Writes the bytes that are there already. */
  | ({ readonly do: 'rewrite' } & Range)
  | ({ readonly do: 'fallocate'; readonly mode: number } & Range)
  | { readonly do: 'ftruncate'; readonly handle: number; readonly size: number }
  | { readonly do: 'fsync'; readonly handle: number; readonly dataOnly: boolean }
  | { readonly do: 'fsyncdir' | 'unlink' | 'rmdir' | 'readdir' | 'readlink' | 'stat'; readonly path: string }
  | { readonly do: 'truncate'; readonly path: string; readonly size: number }
  | { readonly do: 'mkdir' | 'mkfifo' | 'chmod'; readonly path: string; readonly mode: number }
  | { readonly do: 'chown'; readonly path: string; readonly uid: number; readonly gid: number }
  | { readonly do: 'utimens'; readonly path: string; readonly atime: SetTime; readonly mtime: SetTime }
  | { readonly do: 'symlink'; readonly path: string; readonly target: string }
  | { readonly do: 'link'; readonly path: string; readonly to: string }
  | { readonly do: 'rename'; readonly path: string; readonly to: string; readonly flags: number };

export type OperationName = Operation['do'];

/** A path, or the number of a handle. */
export type Observed = string | number;

const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

/** Paths whose attributes an operation may change. */
export function observedBy(operation: Operation): Observed[] {
  if (operation.do === 'close') return [];
  if ('handle' in operation && operation.do !== 'open') return [operation.handle];
  const paths = 'to' in operation ? [operation.path, operation.to] : [operation.path];
  return [...new Set([...paths, ...paths.map(parentOf)])];
}

/** Shows a repeated character once, with its count. */
export const shortened = (text: string): string =>
  text.replaceAll(/(.)\1{20,}/gu, (run, char: string) => `${char}{${run.length / char.length}}`);

/** Shows an operation in one line. */
export function describeOperation(operation: Operation): string {
  const { do: name, ...more } = operation;
  const words = Object.entries(more).map(([key, value]) => {
    if (key === 'flags') return `flags=0o${Number(value).toString(8)}`;
    if (key === 'mode' && name !== 'fallocate') return `mode=0o${Number(value).toString(8)}`;
    return `${key}=${JSON.stringify(value)}`;
  });
  return shortened(`${name} ${words.join(' ')}`);
}
