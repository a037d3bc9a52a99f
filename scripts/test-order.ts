/** Says which test files run first, and which run alone. A name is the beginning of a path below test/. */

/**
 * The longest test files, longest first: if a file of minutes started last, a core would idle. The names come from the list
 * that a run of all tests prints at its end; a missing name costs time, nothing else.
 */
export const LONGEST: readonly string[] = [
  'e2e/absence',
  'e2e/add-many',
  'e2e/lost',
  'e2e/partial',
  'e2e/scrub',
  'e2e/server',
  'e2e/main-job',
  'e2e/downloads',
  'e2e/add',
  'security/symlinked-folder',
  'clients/deluge/',
  'clients/qbittorrent/',
  'clients/transmission/',
  'clients/rtorrent/',
  'e2e/',
  'survival/',
  'security/',
  'clients/',
  'conformance/',
  'server/',
];

/** Files that load disk and cores on purpose: tests beside them might miss their time limits. */
export const ALONE: readonly string[] = ['stress/'];
