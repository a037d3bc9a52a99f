/** What the blocks of both RAR formats have in common: all that finding members needs. */
import type { HeaderReader } from './container.ts';

export interface RarFile {
  readonly name: Buffer;
  /** Of the whole member, unpacked; NaN where it is not known. */
  readonly size: number;
  readonly stored: boolean;
  readonly encrypted: boolean;
  /** Neither a folder nor a link nor an older version. */
  readonly regular: boolean;
  /** Its bytes began in the volume before. */
  readonly splitBefore: boolean;
  /** They go on in the next volume. */
  readonly splitAfter: boolean;
}

export type RarBlock = {
  /** Where the next block begins. */
  readonly end: number;
} & (
  | {
      readonly kind: 'main';
      readonly volume: boolean;
      readonly number: number | undefined;
      readonly encrypted: boolean;
    }
  | { readonly kind: 'file'; readonly file: RarFile; readonly dataOffset: number; readonly dataLength: number }
  | { readonly kind: 'end'; readonly more: boolean }
  | { readonly kind: 'encrypted' } // all further headers are
  | { readonly kind: 'other' }
);

export interface RarFormat {
  readonly signature: Buffer;
  /** Undefined where there is no block: at the volume's end, or where it is damaged. */
  readonly block: (reader: HeaderReader, offset: number) => RarBlock | undefined;
}
