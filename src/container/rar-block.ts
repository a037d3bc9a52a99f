/** A block of either RAR format, as far as finding members needs it. */
import type { HeaderReader } from './container.ts';

export interface RarFile {
  readonly name: Buffer;
  /** Bytes of the whole member, unpacked. NaN where it is not known. */
  readonly size: number;
  readonly stored: boolean;
  readonly encrypted: boolean;
  /** Neither a folder nor a link nor an older version. */
  readonly regular: boolean;
  /** Its bytes begin in the volume before. */
  readonly splitBefore: boolean;
  /** Its bytes go on in the next volume. */
  readonly splitAfter: boolean;
}

export type RarBlock = {
  /** The offset of the next block. */
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
  /** Reads a block. Undefined at the volume's end, and where the block is damaged. */
  readonly block: (reader: HeaderReader, offset: number) => RarBlock | undefined;
}
