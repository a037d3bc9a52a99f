import type { ReferenceKind } from '../lib/row.ts';

export const PASSTHROUGH: ReferenceKind = {
  name: 'bare pass-through',
  stands_for: 'A mount by the same FUSE library and options that shows a folder as it is: the cost of FUSE alone.',
};
