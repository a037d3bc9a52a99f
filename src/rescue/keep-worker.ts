/** A thread that keeps files. It holds no descriptor between two messages. */
import { mkdirSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { errnoOf, messageOf } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import { openCLibrary } from '../native/c-library.ts';
import { isAtOrBelow } from '../native/mountinfo.ts';
import { loadShareCalls, type ShareCalls } from '../native/share.ts';
import { loadStatx } from '../native/statx.ts';
import { loadStrictCalls } from '../native/strict-paths.ts';
import { loadWriterCalls } from '../native/writers.ts';
import { OWN_FOLDER } from '../source/own-folder.ts';
import { OwnMounts } from '../source/own-mounts.ts';
import { NotOurs, using } from './held.ts';
import { HeldKept, type OpenKept } from './held-kept.ts';
import { makeKeptFile } from './keep-file.ts';
import { cleanPlace, dropKept, isThere, listKept, syncKept, trimKept } from './kept-listing.ts';
import type {
  Answered,
  Answers,
  Asked,
  CleanAnswer,
  KeepAnswer,
  KeepRequest,
  KeptAt,
  Request,
  StateNamed,
} from './messages.ts';
import { makePin, noPin } from './pin-file.ts';
import { openKept, Places } from './places.ts';

/** Milliseconds for which answers are gathered. */
const GATHER_MS = 10;

const port = parentPort;
if (port === null) throw new Error('keep-worker runs as a worker thread only');
const library = openCLibrary(silentLogger);
const calls = { ...(loadShareCalls(library) ?? noCalls()), writers: loadWriterCalls(library) };
const statx = loadStatx(library);
const places = new Places({ ownMounts: new OwnMounts(), strict: loadStrictCalls(library), statx });
const held = new HeldKept({ places, statx });

function noCalls(): ShareCalls {
  throw new Error('the C library cannot share or copy');
}

/** Keeps a file on its disk or, where that gives us no folder, in the pool. */
function keep(request: KeepRequest): KeepAnswer {
  let pooled: string;
  try {
    return keepInHeld(request);
  } catch (error) {
    if (isFull(error)) return { kind: 'not kept', why: 'room', says: `does not fit on the disk: ${messageOf(error)}` };
    if (request.pin !== undefined) return { kind: 'not kept', ...noPin(request.pin, error) };
    pooled =
      error instanceof NotOurs
        ? error.message
        : `${OWN_FOLDER} cannot be used there (${errnoOf(error) ?? messageOf(error)})`;
  }
  const { pool } = request.rules;
  mkdirSync(Buffer.from(pool, 'latin1'), { recursive: true, mode: 0o700 });
  const { state } = request.rules;
  const answer = using(places.open(pool), (fd) =>
    using(openKept(fd, state, true), (kept) => keepIn({ kept, place: pool }, request)),
  );
  return answer.kind === 'kept' ? { ...answer, pooled } : answer;
}

function keepInHeld(request: KeepRequest): KeepAnswer {
  const isOld = held.any;
  try {
    return keepIn(held.for(request), request);
  } catch (error) {
    if (!isOld || errnoOf(error) !== 'ENOENT') throw error;
    // It was deleted meanwhile, since nothing was in it.
    held.close();
    return keepIn(held.for(request), request);
  }
}

const isFull = (error: unknown): boolean => errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT';

function keepIn({ kept, place }: OpenKept, request: KeepRequest): KeepAnswer {
  const { pin, rules } = request;
  const { total, released, limit } = rules;
  if (isReleased(place, released)) {
    return { kind: 'not kept', why: 'error', says: 'lies on a disk that was released' };
  }
  const listed = rules.kept.has(place) ? undefined : listKept(kept, place);
  const before = rules.kept.get(place) ?? bytesOf(listed ?? []);
  rules.kept.set(place, before);
  const wanted = { ...request, limit, left: total - before };
  const made = pin === undefined ? makeKeptFile(kept, wanted, calls) : makePin(kept, wanted, pin, calls);
  const also = listed === undefined ? {} : { listed: { place, files: listed } };
  if (made.kind === 'not kept') return { ...made, ...also };
  if (made.kind === 'over') return { ...made, ...also, place };
  const { kind: _, name, bytes, ...rest } = made;
  rules.kept.set(place, before + bytes);
  return { kind: 'kept', at: { place, folder: request.folder, name, bytes }, ...rest, ...also };
}

function isReleased(place: string, released: readonly string[]): boolean {
  if (released.length === 0) return false;
  const real = places.realOf(place);
  return real === undefined || released.some((folder) => isAtOrBelow(real, Buffer.from(folder, 'latin1')));
}

const bytesOf = (files: readonly { readonly bytes: number }[]): number =>
  files.reduce((sum, { bytes }) => sum + bytes, 0);

/** Gives what `use` makes of the open place and the open folder of the state in it. */
function inKept<T>(at: KeptAt, state: StateNamed, use: (kept: number, place: number) => T): T {
  return using(places.open(at.place), (place) => using(openKept(place, state, false), (kept) => use(kept, place)));
}

/** What is not there is dropped. */
function drop(at: KeptAt, state: StateNamed): void {
  try {
    inKept(at, state, (kept) => dropKept(kept, at));
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

/** Where we have no folder, or none that is ours, all are missing. @throws errors of the disk */
function missing(place: string, files: readonly KeptAt[], state: StateNamed): readonly KeptAt[] {
  return using(places.open(place), (fd) => {
    try {
      return using(openKept(fd, state, false), (kept) => files.filter((at) => !isThere(kept, at)));
    } catch (error) {
      if (error instanceof NotOurs || ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) return files;
      throw error;
    }
  });
}

/** A place where we have no folder, or none that is ours, has nothing. */
function clean(place: string, state: StateNamed): CleanAnswer {
  try {
    return using(places.open(place), (fd) => cleanPlace(fd, place, state));
  } catch (error) {
    if (error instanceof NotOurs || errnoOf(error) !== undefined) return { files: [], moved: 0 };
    throw error;
  }
}

function answer(request: Request): Answers[keyof Answers] {
  switch (request.kind) {
    case 'keep':
      return keep(request);
    case 'sync':
      return inKept(request.at, request.state, (kept, place) => syncKept(place, kept, request.at)) as undefined;
    case 'drop':
      return drop(request.at, request.state) as undefined;
    case 'trim':
      return inKept(request.at, request.state, (kept) => trimKept(kept, request.at, request.ranges, calls));
    case 'missing':
      return missing(request.place, request.files, request.state);
    case 'clean':
      return clean(request.place, request.state);
    default:
      return undefined;
  }
}

function answered({ question, request }: Asked): Answered {
  try {
    return { question, answer: answer(request) };
  } catch (error) {
    return { question, error: messageOf(error) };
  }
}

port.on('message', (asked: readonly Asked[]) => {
  let answers: Answered[] = [];
  let since = performance.now();
  for (const [i, one] of asked.entries()) {
    answers.push(answered(one));
    if (performance.now() - since < GATHER_MS || i === asked.length - 1) continue;
    // Writers wait for each of them.
    port.postMessage(answers);
    answers = [];
    since = performance.now();
  }
  // Whoever has the last answer may unmount the disk.
  held.close();
  port.postMessage(answers);
});
