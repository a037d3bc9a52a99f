/**
 * The thread of the watch: blocks until events come, a message, or a change of the mount table.
 *
 * After each reading the thread rests for a moment: what one program does to one file is merged by the kernel meanwhile.
 */
import { closeSync, openSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { silentLogger } from '../logger.ts';
import { takeAlarmed } from '../native/alarmed-port.ts';
import { openCLibrary } from '../native/c-library.ts';
import { loadFanotifyCalls, parseFanotify } from '../native/fanotify.ts';
import { loadFolderHandleCalls } from '../native/folder-handles.ts';
import { loadInotifyCalls, parseInotify } from '../native/inotify.ts';
import { Unmounts } from '../native/unmounts.ts';
import { loadWaitingCalls } from '../native/waiting.ts';
import { FanotifyEvents } from './fanotify-events.ts';
import { split } from './folder-tree.ts';
import { follow, type Group } from './group.ts';
import { InotifyEvents } from './inotify-events.ts';
import { Marks } from './marks.ts';
import { Outbox } from './outbox.ts';
import type { FromThread, ToThread, WatchFacts, WatchSettings } from './protocol.ts';

/** Milliseconds between readings. */
const REST_MS = 20;
/** The thread looks this often even if nothing happens, should an alarm be lost. */
const LONGEST_WAIT_MS = 60_000;
const NONE: ReadonlySet<number> = new Set();
const BUFFER_BYTES = 256 * 1024;
/** Readings of one group before the others have their turn. */
const READINGS = 64;

const port = parentPort;
if (port === null) throw new Error('watch-worker runs as a worker thread only');
const { alarm, mostMarks, wholeFileSystems, fanotify, watchesAfter }: WatchSettings = workerData;
const library = openCLibrary(silentLogger);
const waiting = loadWaitingCalls(library) ?? noPoll();
const handles = loadFolderHandleCalls(library);
const unmounts = Unmounts.open(library);
const post = (message: FromThread): void => port.postMessage(message);
const outbox = new Outbox(
  (events) => post({ kind: 'events', events }),
  () => marks.endAll(),
);
const marks = new Marks({
  fanotify: fanotify ? loadFanotifyCalls(library) : undefined,
  inotify: loadInotifyCalls(library),
  handles,
  close: closeSync,
  mostMarks,
  wholeFileSystems,
  unmounting: (mountPoint) => unmounts?.addSync(mountPoint) ?? -1,
  watchesAfter,
  ended: (watches) => post({ kind: 'ended', watches }),
});
const parts = { marks, emit: (event: Parameters<Outbox['add']>[0]) => outbox.add(event) };
const byHandle = handles === undefined ? undefined : new FanotifyEvents({ ...parts, handles });
const byName = new InotifyEvents(parts);
const buffer = Buffer.alloc(BUFFER_BYTES);
const mountTable = openSync('/proc/self/mountinfo', 'r');
/** What is readable when a file system was unmounted. */
const ends = unmounts === undefined ? [] : [unmounts.fd];
let told: WatchFacts | undefined;
let open = true;

function noPoll(): never {
  throw new Error('the C library has no poll');
}

/** Reads what a group has. True if there was anything. */
function read(group: Group, most = READINGS): boolean {
  for (let i = 0; i < most; i++) {
    const length = waiting.read(group.fd, buffer);
    if (length <= 0) return i > 0;
    const bytes = buffer.subarray(0, length);
    if (group.kind === 'inotify') for (const event of parseInotify(bytes)) byName.take(group, event);
    else for (const event of parseFanotify(bytes)) byHandle?.take(group, event);
  }
  return true;
}

function readAll(): void {
  for (const group of marks.groups) read(group, Number.POSITIVE_INFINITY);
  byHandle?.settle();
  if (byName.waiting) {
    // The halves of a rename are queued together.
    byName.settle();
    byName.settle();
  }
}

function take(message: ToThread): void {
  // What is said of a path depends on what is mounted there.
  if (waiting.wait({ readable: ends, urgent: [mountTable] }, 0).length > 0) lookAtMounts();
  switch (message.kind) {
    case 'follow': {
      const { request, source, path } = message;
      const found = marks.add(split(path).folder, true);
      const group = found?.folder.group;
      const key = group === undefined ? undefined : handles?.handleAt(Buffer.from(path, 'latin1'));
      tellFacts();
      if (group !== undefined && group.kind !== 'inotify' && key !== undefined) follow(group, key, source);
      const anyName = group?.kind === 'filesystem' && key !== undefined;
      post({ kind: 'answer', request, ...(found === undefined ? {} : { watch: found.watch, anyName }) });
      break;
    }
    case 'know':
      post({ kind: 'answer', request: message.request, folders: marks.know(message.folders) });
      break;
    case 'mark':
      for (const folder of message.folders) marks.add(folder, false);
      post({ kind: 'answer', request: message.request });
      break;
    case 'leave':
      for (const folder of message.folders) marks.leave(Buffer.from(folder, 'latin1'));
      post({ kind: 'answer', request: message.request });
      break;
    case 'describe':
      post({ kind: 'answer', request: message.request, fileSystems: marks.describe() });
      break;
    case 'fence':
      readAll();
      outbox.sendAll();
      post({ kind: 'answer', request: message.request });
      break;
    case 'taken':
      outbox.taken();
      break;
    case 'close':
      open = false;
      break;
    default:
      break;
  }
}

function lookAtMounts(): void {
  const { changed, lost } = marks.mountsChanged(unmounts?.take() ?? NONE);
  if (changed) outbox.add({ kind: 'mounts-changed', lost });
}

function tellFacts(): void {
  const { facts, limit } = marks;
  const same = told?.kind === facts.kind && told.marks === facts.marks && told.limited === facts.limited;
  if (same) return;
  told = facts;
  post({ kind: 'facts', facts, ...(limit === undefined ? {} : { limit }) });
}

let restUntil = 0;
while (open) {
  const rest = restUntil - performance.now();
  const resting = rest > 0;
  const groups = resting || outbox.full ? [] : marks.groups.map(({ fd }) => fd);
  const longest = resting ? Math.ceil(rest) : byName.waiting ? REST_MS : LONGEST_WAIT_MS;
  const ready = waiting.wait({ readable: [alarm, ...ends, ...groups], urgent: [mountTable] }, longest);
  if (ready.includes(mountTable) || ends.some((fd) => ready.includes(fd))) lookAtMounts();
  if (ready.includes(alarm) || ready.length === 0) {
    for (const message of takeAlarmed(port, alarm, waiting)) take(message as ToThread);
  }
  let any = false;
  // The mount table may have ended some.
  for (const group of marks.groups) if (ready.includes(group.fd) && read(group)) any = true;
  if (any || byName.waiting) {
    byHandle?.settle();
    byName.settle();
    restUntil = performance.now() + REST_MS;
  }
  outbox.send();
  tellFacts();
}
for (const { fd } of marks.groups) closeSync(fd);
closeSync(mountTable);
unmounts?.close();
port.close();
