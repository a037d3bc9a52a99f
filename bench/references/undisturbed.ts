import type { ReferenceKind } from '../lib/row.ts';

export const BEFORE_RENAME: ReferenceKind = {
  name: 'before the rename',
  stands_for: 'The same reads from the same server while nothing happens: what settling in the background takes away.',
};

export const ALONE: ReferenceKind = {
  name: 'without the slow disk',
  stands_for: 'The same reads from the same server while nobody reads from the file system that answers late.',
};

export const TRUSTED: ReferenceKind = {
  name: 'a trusted source',
  stands_for: 'The same reads of a file of the same size that is as it was recorded: nothing is hashed.',
};

export const UNLOOKED: ReferenceKind = {
  name: 'without the look',
  stands_for: 'The same reads from the same server, which believes that no source changes while it is open.',
};

export const UNLEASED: ReferenceKind = {
  name: 'without a lease',
  stands_for:
    'The same reads, from the same server, of a file of the same size that somebody has open for writing: it gets no lease.',
};

export const BEFORE_WRITERS: ReferenceKind = {
  name: 'before the writers came',
  stands_for: 'The same reads from the same server while nobody writes to a source.',
};
