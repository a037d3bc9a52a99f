/**
 * What happens to the sources of users, as data: each event with the pieces that can still be served afterwards. Those of
 * whole disks and thousands of files are in tests of their own.
 */
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileSystemKind, TestFileSystem } from '../harness/file-systems.ts';
import { PIECE_LENGTH, PIECES } from './films.ts';
import { copyWithTimes, moveAcross, moveTo, overwrite, replace, retagged, swapNames } from './happenings.ts';

/** Where an event happens. */
export interface Place {
  readonly fileSystem: TestFileSystem;
  /** A folder of this event alone, on the file system. Its films lie in `folder`/library. */
  readonly folder: string;
  /** The path of the film, or of the first. */
  readonly film: string;
  /** The path of the second film, if the event has two. */
  readonly other: string;
  /**
   * A folder of this event alone on another file system, which is a disk of the configuration, too. It is not made yet, so that
   * the index does not know it.
   */
  readonly elsewhere: string;
  /** The same, in no disk of the configuration. */
  readonly outside: string;
}

export interface SurvivalEvent {
  readonly name: string;
  readonly films?: 2;
  /** How many pieces of each film lie somewhere afterwards. */
  readonly possible: number;
  /**
   * By what a server that has the film open keeps the others: a lease that tells of a writer before its first byte, or the
   * descriptor of what was deleted.
   */
  readonly keptBy?: 'lease' | 'descriptor';
  /** The file systems on which it can happen. Default: all. */
  readonly on?: readonly FileSystemKind[];
  /** Before the collection is indexed. */
  readonly prepare?: (place: Place) => void;
  readonly happens: (place: Place) => void | Promise<void>;
}

const MIDDLE = 30 * PIECE_LENGTH;
const PAUSE_MS = 500;

const EVENTS: readonly SurvivalEvent[] = [
  {
    name: 'renamed',
    possible: PIECES,
    happens: ({ film }) => renameSync(film, `${film}.renamed.mkv`),
  },
  {
    name: 'moved within the disk',
    possible: PIECES,
    happens: ({ film, folder }) => moveTo(film, join(folder, 'other', 'folder', basename(film))),
  },
  {
    name: 'parent folder renamed',
    possible: PIECES,
    happens: ({ folder }) => renameSync(join(folder, 'library'), join(folder, 'archive')),
  },
  {
    name: 'folder two levels up renamed',
    possible: PIECES,
    happens: ({ folder }) => renameSync(folder, `${folder} (renamed)`),
  },
  {
    name: 'moved to another disk, same name',
    possible: PIECES,
    happens: ({ film, elsewhere }) => moveAcross(film, join(elsewhere, basename(film))),
  },
  {
    name: 'moved to another disk, new name',
    possible: PIECES,
    happens: ({ film, elsewhere }) => moveAcross(film, join(elsewhere, 'moved.mkv')),
  },
  {
    name: 'moved to another disk, seen half done',
    possible: PIECES,
    async happens({ film, elsewhere }) {
      const to = join(elsewhere, basename(film));
      const bytes = readFileSync(film);
      const { atime, mtime } = statSync(film);
      mkdirSync(elsewhere);
      writeFileSync(to, bytes.subarray(0, MIDDLE));
      await sleep(PAUSE_MS);
      appendFileSync(to, bytes.subarray(MIDDLE));
      utimesSync(to, atime, mtime);
      rmSync(film);
    },
  },
  {
    name: 'renamed to a temporary name, then to the final one',
    possible: PIECES,
    async happens({ film }) {
      renameSync(film, `${film}.partial~`);
      await sleep(PAUSE_MS);
      renameSync(`${film}.partial~`, `${film} (2021).mkv`);
    },
  },
  {
    name: 'two files swap names',
    films: 2,
    possible: PIECES,
    happens: ({ film, other }) => swapNames(film, other),
  },
  {
    name: 'mtime touched',
    possible: PIECES,
    happens: ({ film }) => utimesSync(film, new Date(), new Date()),
  },
  {
    name: 'chmod -R',
    possible: PIECES,
    happens({ film }) {
      chmodSync(dirname(film), 0o750);
      chmodSync(film, 0o640);
    },
  },
  {
    name: 'replaced by an identical file, same mtime',
    possible: PIECES,
    happens: ({ film }) => replace(film, readFileSync(film), statSync(film).mtime),
  },
  {
    name: 'replaced by an identical file, new mtime',
    possible: PIECES,
    happens: ({ film }) => replace(film, readFileSync(film)),
  },
  {
    name: 'a backup restored over the library',
    possible: PIECES,
    prepare: ({ film, outside }) => copyWithTimes(film, join(outside, basename(film))),
    happens({ film, outside, fileSystem: { kind } }) {
      // libfuse keeps a hidden name of a file that is open, and the folder with it.
      rmSync(kind === 'fuse' ? film : dirname(film), { recursive: true });
      copyWithTimes(join(outside, basename(film)), film);
    },
  },
  {
    name: 'deleted, a copy lies elsewhere in the collection',
    possible: PIECES,
    prepare: ({ film, elsewhere }) => copyWithTimes(film, join(elsewhere, basename(film))),
    happens: ({ film }) => rmSync(film),
  },
  {
    name: 'deleted, a second hard link stays',
    possible: PIECES,
    prepare({ film, folder }) {
      mkdirSync(join(folder, 'links'));
      linkSync(film, join(folder, 'links', 'second.mkv'));
    },
    happens: ({ film }) => rmSync(film),
  },
  {
    name: "moved to another branch by mergerfs's balance",
    possible: PIECES,
    on: ['mergerfs'],
    happens({ film, fileSystem: { path, branches } }) {
      const below = relative(path, film);
      const from = branches.find((branch) => existsSync(join(branch, below))) ?? '';
      const to = branches.find((branch) => branch !== from) ?? '';
      moveAcross(join(from, below), join(to, below));
    },
  },
  {
    name: 're-tagged, written anew and renamed over',
    possible: PIECES - 1,
    keptBy: 'descriptor',
    happens: ({ film }) => replace(film, retagged(readFileSync(film))),
  },
  {
    name: 're-tagged in place',
    possible: PIECES - 1,
    keptBy: 'lease',
    happens: ({ film }) => writeFileSync(film, retagged(readFileSync(film))),
  },
  {
    name: '128 bytes appended',
    possible: PIECES,
    happens: ({ film }) => appendFileSync(film, Buffer.alloc(128, 'tag ')),
  },
  {
    name: '100 bytes overwritten in the middle',
    possible: PIECES - 1,
    keptBy: 'lease',
    happens: ({ film }) => overwrite(film, MIDDLE + 500, Buffer.alloc(100, 'x')),
  },
  {
    name: 'cut in the middle',
    possible: 30,
    keptBy: 'lease',
    happens: ({ film }) => truncateSync(film, MIDDLE + 500),
  },
  {
    name: 'bytes changed, mtime set back',
    possible: PIECES - 1,
    keptBy: 'lease',
    happens({ film }) {
      const { atime, mtime } = statSync(film);
      overwrite(film, MIDDLE + 500, Buffer.alloc(100, 'x'));
      utimesSync(film, atime, mtime);
    },
  },
  {
    name: 'deleted',
    possible: 0,
    keptBy: 'descriptor',
    happens: ({ film }) => rmSync(film),
  },
  {
    name: 'upgraded, the old one goes to a recycle bin of the disk',
    possible: PIECES,
    happens({ film, folder }) {
      moveTo(film, join(folder, '#recycle', basename(film)));
      writeFileSync(film, randomBytes((PIECES + 10) * PIECE_LENGTH));
    },
  },
  {
    name: 'upgraded, the old one is overwritten by the rename',
    possible: 0,
    keptBy: 'descriptor',
    happens: ({ film }) => replace(film, randomBytes((PIECES + 10) * PIECE_LENGTH)),
  },
  {
    name: 'replaced by garbage of the same size and mtime',
    possible: 0,
    keptBy: 'descriptor',
    happens({ film }) {
      const { size, mtime } = statSync(film);
      replace(film, Buffer.alloc(size, 'garbage '), mtime);
    },
  },
];

/** Where leases are granted. */
const LEASABLE: ReadonlySet<FileSystemKind> = new Set(['ext4', 'xfs', 'btrfs']);

/** How many pieces of each film are served afterwards if a server has had it open. */
export function possibleWhileOpen({ possible, keptBy }: SurvivalEvent, kind: FileSystemKind): number {
  return keptBy === 'descriptor' || (keptBy === 'lease' && LEASABLE.has(kind)) ? PIECES : possible;
}

export function eventsOn(kind: FileSystemKind): SurvivalEvent[] {
  return EVENTS.filter(({ on }) => on === undefined || on.includes(kind));
}
