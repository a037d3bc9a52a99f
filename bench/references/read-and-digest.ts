import type { ReferenceKind } from '../lib/row.ts';

export const READ_AND_DIGEST: ReferenceKind = {
  name: 'reading and SHA-1',
  stands_for: 'Reading the same .torrent and hashing it whole: the least that a program does with it.',
};
