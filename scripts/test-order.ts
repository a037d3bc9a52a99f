/** Which test files run first, and which run by themselves. A name is the beginning of a path below test/. */

/**
 * The longest, longest first: a file that starts last and takes minutes would be waited for while a core idles. Read off
 * the list that a run of all tests prints at its end; a name that is missing here costs time, nothing else.
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

/** Those that load disk and cores on purpose: what runs beside them might not keep its limits of time. */
export const ALONE: readonly string[] = ['stress/'];
