import type { ReferenceKind } from '../lib/row.ts';

export const MAPPED_FILE: ReferenceKind = {
  name: 'mapped file',
  stands_for: 'A file in our mount that is one extent of one source and was never written: our own simplest case.',
};
