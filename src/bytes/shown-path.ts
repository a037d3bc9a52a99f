/** Shows a path on disk as text: bytes that are not UTF-8 become U+FFFD, and base64 beside it holds the exact bytes. */
import { isUtf8 } from 'node:buffer';

export interface ShownPath {
  readonly source: string;
  readonly source_bytes?: string;
}

export function shownPath(path: Buffer): ShownPath {
  const source = path.toString('utf8');
  return isUtf8(path) ? { source } : { source, source_bytes: path.toString('base64') };
}
