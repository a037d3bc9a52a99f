/**
 * Finds differences between two targets: each in words, none if they agree.
 *
 * Not compared: atimes; sizes and blocks of folders; inode numbers, except which names share one. Writing bytes that are
 * there already and truncating to the current size change nothing in the mount, so the times of a file are not compared after
 * these either.
 */
import { can, type Limits } from './limits.ts';
import type { Observed, Operation } from './operation.ts';
import type { Outcome, Request, Stat, TreeEntry } from './target.ts';

const TYPE = 0o170000;
const FOLDER = 0o040000;
const MILLISECOND = 1_000_000n;
/** Clocks of file systems tick every few milliseconds: a change within one tick need not show. */
const TICK = 20n * MILLISECOND;
/** Longer than one operation takes, even on a very busy machine. */
const APART = 60_000n * MILLISECOND;
/** Times that were set are years away from the present; all others are of this run. */
const LONG_AGO = 30n * 86_400_000n * MILLISECOND;

export interface Allowed {
  /** The operation may leave the times of its file unchanged. */
  readonly timesMayStay: boolean;
}

export function compareOutcomes(
  request: Request,
  expected: Outcome,
  found: Outcome,
  limits: Limits,
  allowed: Allowed,
): string[] {
  const { operation } = request;
  if (expected.error !== found.error) {
    return [`answers ${found.error ?? 'success'}, and should ${expected.error ?? 'success'}`];
  }
  const differences: string[] = [];
  if (JSON.stringify(expected.value) !== JSON.stringify(found.value)) {
    differences.push(`answers ${JSON.stringify(found.value)}, and should ${JSON.stringify(expected.value)}`);
  }
  if (expected.bytes !== undefined && found.bytes !== undefined) {
    const where = 'position' in operation ? operation.position : 0;
    differences.push(...compareBytes(expected.bytes, found.bytes, where));
  }
  for (const [i, { target }] of request.observe.entries()) {
    const what = typeof target === 'number' ? `handle ${target}` : `'${target}'`;
    const pair = [expected.after[i], found.after[i]] as const;
    if (pair[0] === undefined || pair[1] === undefined) {
      if (pair[0] !== pair[1]) differences.push(`${what} ${pair[1] === undefined ? 'is not there' : 'is there'}`);
      continue;
    }
    const isOrphan = typeof target === 'number' && !can(limits, 'orphanLinkCounts');
    differences.push(...compareStats(pair[0], pair[1], isOrphan).map((difference) => `${what}: ${difference}`));
    const [was, wasFound] = [formerOf(expected, pair[0]), formerOf(found, pair[1])];
    const mayStay = allowed.timesMayStay && (typeof target === 'number' || target === subjectPath(operation));
    for (const time of ['mtime', 'ctime'] as const) {
      const difference = compareTime(
        { before: was?.[time], after: pair[0][time], started: expected.started },
        { before: wasFound?.[time], after: pair[1][time], started: found.started },
        limits,
        mayStay,
      );
      if (difference !== undefined) differences.push(`${what}: ${time} ${difference}`);
    }
  }
  return differences;
}

/** Gives mtimes that the reference changed and the subject kept, as it may: the reference then takes the subject's. */
export function timesToAlign(
  request: Request,
  expected: Outcome,
  found: Outcome,
): { readonly target: Observed; readonly mtime: bigint }[] {
  return request.observe.flatMap(({ target }, i) => {
    const [was, is] = [found.before[i], found.after[i]];
    const isSubject = typeof target === 'number' || target === subjectPath(request.operation);
    if (!isSubject || was === undefined || is === undefined || was.mtime !== is.mtime) return [];
    return expected.before[i]?.mtime === expected.after[i]?.mtime ? [] : [{ target, mtime: is.mtime }];
  });
}

/** Finds an inode's earlier state under any name: a rename puts one inode in place of another. */
const formerOf = ({ before }: Outcome, { ino }: Stat): Stat | undefined => before.find((stat) => stat?.ino === ino);

const subjectPath = (operation: Operation): string | undefined => ('path' in operation ? operation.path : undefined);

interface Moment {
  readonly before: bigint | undefined;
  readonly after: bigint;
  readonly started: bigint;
}

function compareTime(expected: Moment, found: Moment, limits: Limits, mayStay: boolean): string | undefined {
  if (isSet(expected.after, expected.started)) {
    // A time that was set, now or before: exact to the nanosecond, if the target has nanoseconds.
    const wanted = kept(expected.after, limits);
    return found.after === wanted ? undefined : `is ${found.after}, and should be ${wanted}`;
  }
  const moved = expected.before !== expected.after;
  const movedFound = found.before !== found.after;
  if (!moved && !movedFound) return undefined;
  if (!moved) return `changed from ${found.before} to ${found.after}, and should not`;
  if (!movedFound && mayStay) return undefined;
  if (found.after < found.started - TICK) return `stayed ${found.after}, and should have changed`;
  if (found.after > found.started + APART) return `is in the future: ${found.after}, begun ${found.started}`;
  return undefined;
}

const kept = (time: bigint, limits: Limits): bigint =>
  can(limits, 'nanoseconds') ? time : time - (((time % MILLISECOND) + MILLISECOND) % MILLISECOND);

const isSet = (time: bigint, now: bigint): boolean => time < now - LONG_AGO || time > now + LONG_AGO;

function compareStats(expected: Stat, found: Stat, isOrphan = false): string[] {
  const differences: string[] = [];
  const isFolder = (expected.mode & TYPE) === FOLDER;
  for (const key of ['mode', 'nlink', 'uid', 'gid', 'size', 'rdev'] as const) {
    if (expected[key] === found[key] || (key === 'size' && isFolder) || (key === 'nlink' && isOrphan)) continue;
    const show = (value: number): string => (key === 'mode' ? `0o${value.toString(8)}` : `${value}`);
    differences.push(`${key} is ${show(found[key])}, and should be ${show(expected[key])}`);
  }
  return differences;
}

/** Says where two contents begin and cease to differ, and in how many bytes. */
export function compareBytes(expected: Buffer, found: Buffer, position = 0): string[] {
  if (expected.equals(found)) return [];
  if (expected.length !== found.length) return [`${found.length} bytes, and should be ${expected.length}`];
  const places = [...expected.keys()].filter((i) => expected[i] !== found[i]);
  const [first = 0, last = 0] = [places[0], places.at(-1)];
  const some = (bytes: Buffer): string => bytes.subarray(first, first + 16).toString('hex');
  return [
    `${places.length} bytes differ, from ${position + first} to ${position + last}: ` +
      `${some(found)}, and should be ${some(expected)}`,
  ];
}

export function compareTrees(
  expected: readonly TreeEntry[],
  found: readonly TreeEntry[],
  limits: Limits,
  now: bigint,
): string[] {
  const there = new Map(found.map((entry) => [entry.path, entry]));
  const differences = found
    .filter(({ path }) => !expected.some((entry) => entry.path === path))
    .map(({ path }) => `'${path}' should not be there`);
  const inodes = new Map<number, number>();
  for (const entry of expected) {
    const what = `'${entry.path}'`;
    const other = there.get(entry.path);
    if (other === undefined) {
      differences.push(`${what} is missing`);
      continue;
    }
    differences.push(...compareStats(entry, other).map((difference) => `${what}: ${difference}`));
    if (entry.hash !== other.hash) {
      const how =
        other.read === undefined ? `cannot be read: ${other.hash}` : `its bytes differ, ${other.read} of them`;
      differences.push(`${what}: ${how}`);
    }
    if (entry.target !== other.target) differences.push(`${what}: leads to ${other.target}, not to ${entry.target}`);
    if (inodes.has(entry.ino) && inodes.get(entry.ino) !== other.ino) {
      differences.push(`${what}: is no other name of the file that it should be`);
    }
    inodes.set(entry.ino, other.ino);
    differences.push(...compareTreeTimes(entry, other, limits, now).map((difference) => `${what}: ${difference}`));
  }
  if (inodes.size !== new Set(inodes.values()).size) differences.push('two files share an inode number');
  return differences;
}

function compareTreeTimes(entry: TreeEntry, other: TreeEntry, limits: Limits, now: bigint): string[] {
  if (isSet(entry.mtime, now)) {
    const wanted = kept(entry.mtime, limits);
    return other.mtime === wanted ? [] : [`mtime is ${other.mtime}, and should be ${wanted}`];
  }
  return isSet(other.mtime, now) ? [`mtime is ${other.mtime}, and should be of this run: ${entry.mtime}`] : [];
}
