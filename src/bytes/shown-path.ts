/** A path on disk as text: bytes that are not UTF-8 become U+FFFD, and the bytes stand beside it in base64. */
import { isUtf8 } from 'node:buffer';

export interface ShownPath {
  readonly source: string;
  readonly source_bytes?: string;
}

export function shownPath(path: Buffer): ShownPath {
  const source = path.toString('utf8');
  return isUtf8(path) ? { source } : { source, source_bytes: path.toString('base64') };
}
