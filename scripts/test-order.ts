/** Says which test files run first, and which run alone. A name is the beginning of a path below test/. */

/**
 * The longest test files, longest first: if a file of minutes started last, a core would idle. The names come from the list
 * that a run of all tests prints at its end; a missing name costs time, nothing else.
 */
export const LONGEST: readonly string[] = [
  'e2e/absence',
  'clients/deluge/',
  'clients/qbittorrent/',
  'e2e/partial',
  'clients/rtorrent/',
  'e2e/add-many',
  'clients/',
  'e2e/',
  'conformance/',
  'server/',
];

/** Files that load disk and cores on purpose: tests beside them might miss their time limits. */
export const ALONE: readonly string[] = ['stress/'];
