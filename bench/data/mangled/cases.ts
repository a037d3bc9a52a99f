/** The ways in which a collection's copy differs from the torrent's file. */
import type { Part } from './parts.ts';

export interface Case {
  readonly name: string;
  /** MiB of the original at scale 1, or its size counted in pieces. */
  readonly size: { readonly mib: number } | { readonly pieces: number };
  /** True: the stored file has the torrent's name for it. */
  readonly sameName: boolean;
  /** Gives the stored copy of an original of this many bytes. */
  readonly copy: (bytes: number) => Part[];
  /** Another file of the same size with other contents, under the same name or under one that sorts before it. */
  readonly decoy?: 'same name' | 'another name';
  /** Another extension than `.mkv`. */
  readonly extension?: string;
}

/** Sizes of insertions and cuts: none keeps pages or sectors aligned. */
const ODD = 4113;
const MIB = 2 ** 20;
const CASE_MIB = 80;
const BIG_MIB = 300;

const whole = (bytes: number): Part[] => [{ keep: [0, bytes] }];

const inserted = (at: (bytes: number) => number, length: (bytes: number) => number = () => ODD) => {
  return (bytes: number): Part[] => [
    { keep: [0, at(bytes)] },
    { foreign: length(bytes) },
    { keep: [at(bytes), bytes] },
  ];
};

const cut = (from: (bytes: number) => number, end: (bytes: number) => number) => {
  return (bytes: number): Part[] => [{ keep: [0, from(bytes)] }, { keep: [end(bytes), bytes] }];
};

const damaged = (at: (bytes: number) => number) => {
  return (bytes: number): Part[] => [
    { keep: [0, at(bytes)] },
    { damage: [at(bytes), at(bytes) + 3] },
    { keep: [at(bytes) + 3, bytes] },
  ];
};

const middle = (bytes: number): number => Math.floor(bytes / 2) + 1235;
const third = (bytes: number): number => Math.floor(bytes / 3);
const twoThirds = (bytes: number): number => Math.floor((2 * bytes) / 3);

/** Each of these is stored under the torrent's name, and under another one. */
const EDITS: Readonly<Record<string, Case['copy']>> = {
  'insert-at-head': inserted(() => 0),
  'cut-at-head': cut(
    () => 0,
    () => ODD,
  ),
  'insert-at-tail': inserted((bytes) => bytes),
  'cut-at-tail': cut(
    (bytes) => bytes - ODD,
    (bytes) => bytes,
  ),
  'insert-in-middle': inserted(middle),
  'cut-in-middle': cut(middle, (bytes) => middle(bytes) + ODD),
  // Audio tags: a new one at the head, the old one at the tail removed.
  'insert-at-head-cut-at-tail': (bytes) => [{ foreign: ODD }, { keep: [0, bytes - 997] }],
  'two-inserts': (bytes) => [
    { keep: [0, third(bytes)] },
    { foreign: 103 },
    { keep: [third(bytes), twoThirds(bytes)] },
    { foreign: 79 },
    { keep: [twoThirds(bytes), bytes] },
  ],
  // The size agrees, and so do both ends.
  'middle-third-shifted': (bytes) => [
    { keep: [0, third(bytes)] },
    { foreign: 512 },
    { keep: [third(bytes), twoThirds(bytes)] },
    { keep: [twoThirds(bytes) + 512, bytes] },
  ],
};

const usual = { size: { mib: CASE_MIB } } as const;

export const CASES: readonly Case[] = [
  { ...usual, name: 'named-identical', sameName: true, copy: whole },
  { ...usual, name: 'renamed-identical', sameName: false, copy: whole },
  ...[true, false].flatMap((sameName) =>
    Object.entries(EDITS).map(
      ([name, copy]): Case => ({ ...usual, name: `${sameName ? 'named' : 'renamed'}-${name}`, sameName, copy }),
    ),
  ),
  { ...usual, name: 'named-insert-at-5-percent', sameName: true, copy: inserted((bytes) => Math.floor(bytes * 0.05)) },
  { ...usual, name: 'named-insert-at-95-percent', sameName: true, copy: inserted((bytes) => Math.floor(bytes * 0.95)) },
  {
    ...usual,
    name: 'named-mebibyte-at-head',
    sameName: true,
    copy: inserted(
      () => 0,
      (bytes) => Math.min(MIB, Math.floor(bytes / 12)),
    ),
  },
  // The next two differ in size by more than `hash_size_varying` allows by default.
  { ...usual, name: 'named-half', sameName: true, copy: (bytes) => [{ keep: [0, Math.floor(bytes / 2)] }] },
  { ...usual, name: 'renamed-85-percent', sameName: false, copy: (bytes) => [{ keep: [0, Math.ceil(bytes * 0.85)] }] },
  // Preallocated, and the last quarter never downloaded.
  {
    ...usual,
    name: 'named-zeros-at-tail',
    sameName: true,
    copy: (bytes) => [{ keep: [0, bytes - Math.floor(bytes / 4)] }, { zeros: Math.floor(bytes / 4) }],
  },
  { ...usual, name: 'named-damage-in-middle', sameName: true, copy: damaged(middle) },
  { ...usual, name: 'renamed-damage-in-first-piece', sameName: false, copy: damaged(() => 10) },
  { name: 'big-renamed-insert-at-head', size: { mib: BIG_MIB }, sameName: false, copy: inserted(() => 0) },
  { name: 'big-named-identical', size: { mib: BIG_MIB }, sameName: true, copy: whole },
  { name: 'renamed-two-pieces', size: { pieces: 2 }, sameName: false, copy: whole },
  { name: 'renamed-less-than-a-piece', size: { pieces: 0.98 }, sameName: false, copy: whole },
  { ...usual, name: 'named-twice-one-wrong', sameName: true, copy: whole, decoy: 'same name' },
  { ...usual, name: 'renamed-beside-same-size', sameName: false, copy: whole, decoy: 'another name' },
  {
    name: 'named-of-100-bytes',
    size: { pieces: 5 },
    sameName: true,
    copy: () => [{ keep: [0, 100] }],
    extension: '.nfo',
  },
];

/** The files of an album, in two torrents: one without and one with pad files (BEP 47). */
export const ALBUM: readonly (Pick<Case, 'sameName' | 'copy'> & {
  readonly path: string;
  readonly size: { readonly mib: number } | { readonly bytes: number };
})[] = [
  { path: '01 first.flac', size: { mib: 40 }, sameName: false, copy: whole },
  { path: '02 second.flac', size: { mib: 40 }, sameName: true, copy: inserted(() => 0) },
  {
    path: '03 third.flac',
    size: { mib: 40 },
    sameName: true,
    copy: cut(
      (bytes) => bytes - 128,
      (bytes) => bytes,
    ),
  },
  { path: 'cover.jpg', size: { bytes: 34_571 }, sameName: true, copy: whole },
  { path: '04 fourth.flac', size: { mib: 40 }, sameName: false, copy: inserted(middle) },
  { path: 'info.nfo', size: { bytes: 1339 }, sameName: true, copy: whole },
];
