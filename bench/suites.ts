/** The suites, in the order in which they run. Each is loaded only when it runs. */
import type { Suite } from './lib/suite.ts';

export const SUITES: readonly Suite[] = [
  {
    name: 'rebuild',
    about: 'building the index of a collection, beside find',
    run: async (setting) => (await import('./suites/rebuild.ts')).benchRebuild(setting),
  },
  {
    name: 'add',
    about: 'a dry run of 100 torrents by name and size, beside find',
    run: async (setting) => (await import('./suites/add.ts')).benchAdd(setting),
  },
  {
    name: 'index',
    about: 'asking the index process, warm and cold, beside opening the index directly',
    run: async (setting) => (await import('./suites/index-process.ts')).benchIndexProcess(setting),
  },
  {
    name: 'hash',
    about: 'hashing and verification, beside OpenSSL',
    run: async (setting) => (await import('./suites/hash.ts')).benchHash(setting),
  },
  {
    name: 'matching',
    about: 'the modes that hash: what they find of changed files, and what it costs',
    run: async (setting) => (await import('./suites/matching.ts')).benchMatching(setting),
  },
  {
    name: 'mount',
    about: 'reads through the mount, beside a bare FUSE pass-through and the disk',
    run: async (setting) => (await import('./suites/mount.ts')).benchMount(setting),
  },
  {
    name: 'resized',
    about: 'reads of a file of several extents, beside one of a single extent',
    run: async (setting) => (await import('./suites/resized.ts')).benchResized(setting),
  },
  {
    name: 'writes',
    about: 'writes through the mount, beside a bare FUSE pass-through and the disk',
    run: async (setting) => (await import('./suites/writes.ts')).benchWrites(setting),
  },
  {
    name: 'metainfo',
    about: 'parsing large and hostile .torrents, beside reading and hashing them',
    run: async (setting) => (await import('./suites/metainfo.ts')).benchMetainfo(setting),
  },
  {
    name: 'living',
    about: 'sources that change while they are served: what survives, how soon, and what it costs reads',
    run: async (setting) => (await import('./suites/living.ts')).benchLiving(setting),
  },
  {
    name: 'start',
    about: 'from add to seeding in real clients, beside plain files added by hand',
    run: async (setting) => (await import('./suites/start.ts')).benchStart(setting),
  },
];
