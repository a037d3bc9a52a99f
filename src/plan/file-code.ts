/**
 * The reasons for what matching decided about a file. Scripts may compare them; records and plans hold their places in this
 * list, so it only grows at its end.
 */
export const FILE_CODES = [
  'verified', // every piece of it was hashed and agreed
  'probed', // those of its pieces that were hashed agreed
  'believed', // `verify = none`: name and size agree, and nothing of it was hashed
  'empty', // no bytes: needs no source
  'symlink', // BEP 47: needs no source
  'pad', // BEP 47: zeros
  'realigned', // hash modes and archives: what is mapped was proven piece by piece, at the places where it lies
  'pieces-failed', // partial: what failed became gaps
  'no-candidate', // nothing of its name and size
  'not-in-release', // nothing is hashed, or `normal` is off: its folder is a release, and no folder of the collection is that release
  'limit', // hash modes: `hash_limit` was reached before anything was found
  'changed', // the index knew a candidate, but it is no longer so
  'hash-mismatch', // candidates were hashed, and none held the file's bytes
  'unproven', // a candidate is there, but no piece proves its bytes, since others in its pieces are missing: not mapped
  'size', // a candidate of its name has another size
  'ignored', // `ignore_files` leaves it out of the collection
  'unreadable', // it may not be read
  'link', // a symbolic link: the scan does not follow it
  'growing', // it was still being written at the last rebuild
  'disk-away', // it lies on a disk that is not there
  'not-indexed', // the index does not have it
] as const;

export type FileCode = (typeof FILE_CODES)[number];
