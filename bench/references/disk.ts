import type { ReferenceKind } from '../lib/row.ts';

export const DISK: ReferenceKind = {
  name: 'disk',
  stands_for: 'The same reads and writes on the folder itself, without FUSE: what a mount can never exceed.',
};
