/**
 * Does the same to the reference and to a subject, one operation after the other, and compares.
 *
 * A run is many episodes, each with a seed of its own and a fresh fixture: mapped files that are written to again and
 * again end as overlaid ones altogether, and it is the first writes to them that are the interesting ones. State that
 * outlives an episode (the store, its journal) stays: an episode begins where all the others have ended.
 */
import { constants } from 'node:fs';
import { compareBytes, compareOutcomes, compareTrees, timesToAlign } from './compare.ts';
import type { Fixture } from './fixture.ts';
import { Generator } from './generator.ts';
import { Model } from './model.ts';
import { describeOperation, type Observed, type Operation, observedBy, shortened } from './operation.ts';
import { payloadOf } from './payload.ts';
import { Random } from './random.ts';
import type { FolderSubject, Subject } from './subject.ts';
import type { Outcome, Request } from './target.ts';

const EPISODE = 2000;
const TREE_EVERY = 200;
const RESTART_EVERY = 1000;
const TOLD = 30;

export interface Sides {
  readonly reference: FolderSubject;
  readonly subject: Subject;
  readonly fixture: Fixture;
}

export interface Difference {
  readonly operations: readonly Operation[];
  /** In words. */
  readonly differences: readonly string[];
}

/** Gives the next operation; none at the end. */
export type Source = (model: Model) => Operation | undefined;

/** `difference` has all of the operations, to be cut down (`shrink.ts`). */
export class DifferenceError extends Error {
  readonly difference: Difference;

  constructor(message: string, difference: Difference) {
    super(message);
    this.name = 'DifferenceError';
    this.difference = difference;
  }
}

/** @throws DifferenceError with the seed, the last operations and what differs */
export async function runSideBySide(sides: Sides, options: { readonly seed: number; readonly count: number }) {
  for (let done = 0, seed = options.seed; done < options.count; seed++) {
    const count = Math.min(EPISODE, options.count - done);
    const difference = await episode(sides, `seed ${seed}`, generated(seed, count, sides));
    if (difference !== undefined) throw new DifferenceError(explain(difference, seed, sides), difference);
    done += count;
  }
}

function generated(seed: number, count: number, { subject }: Sides): Source {
  let left = count;
  let generator: Generator | undefined;
  return (model) => {
    generator ??= new Generator(new Random(seed), model, subject.limits);
    return left-- > 0 ? generator.next() : undefined;
  };
}

function explain({ operations, differences }: Difference, seed: number, { subject }: Sides): string {
  const first = Math.max(0, operations.length - TOLD);
  const told = operations.slice(first).map((operation, i) => `  ${first + i + 1}. ${describeOperation(operation)}`);
  return [
    `${subject.target.name} differs at operation ${operations.length} of seed ${seed}`,
    `(again: STRESS_SEED=${seed} STRESS_OPS=${operations.length})`,
    ...told,
    ...differences.map((difference) => `! ${shortened(difference)}`),
  ].join('\n');
}

/** Operations until the first difference, or until there are no more. */
export async function episode(sides: Sides, name: string, source: Source): Promise<Difference | undefined> {
  const { reference, subject, fixture } = sides;
  const model = new Model();
  fixture.placeIn(model);
  await Promise.all([reference.begin(name), subject.begin(name)]);
  const operations: Operation[] = [];
  try {
    for (let operation = source(model); operation !== undefined; operation = source(model)) {
      operations.push(operation);
      const differences = await step(sides, model, operation);
      if (differences.length === 0 && operations.length % TREE_EVERY === 0) {
        differences.push(...(await compareAll(sides)));
      }
      if (differences.length > 0) return { operations, differences };
      if (operations.length % RESTART_EVERY === 0) {
        const after = await restart(sides, model);
        if (after.length > 0) return { operations, differences: after };
      }
    }
    const differences = await compareAll(sides);
    if (differences.length === 0) differences.push(...(await restart(sides, model)));
    return differences.length > 0 ? { operations, differences } : undefined;
  } finally {
    await Promise.all([reference.end(), subject.end()]);
  }
}

async function step({ reference, subject, fixture }: Sides, model: Model, operation: Operation): Promise<string[]> {
  const request = requestOf(operation, model, fixture);
  const [expected, found] = await Promise.all([reference.target.run(request), subject.target.run(request)]);
  const allowed = { timesMayStay: timesMayStay(operation, model, expected) };
  const differences = compareOutcomes(request, expected, found, subject.limits, allowed);
  if (allowed.timesMayStay) {
    for (const { target, mtime } of timesToAlign(request, expected, found)) {
      await reference.target.setMtime(target, mtime);
    }
  }
  if (expected.error === undefined) {
    model.follow(operation, typeof expected.value === 'number' ? expected.value : 0);
  }
  return differences;
}

function requestOf(operation: Operation, model: Model, fixture: Fixture): Request {
  const data = payloadOf(operation, fixture);
  const isAliased = (target: Observed): boolean =>
    (typeof target === 'number' ? model.handles.get(target)?.inode : model.at(target))?.aliased ?? false;
  const observe = observedBy(operation).map((target) => ({
    target,
    fresh: operation.do === 'link' || isAliased(target),
  }));
  return { operation, observe, ...(data === undefined ? {} : { data }) };
}

/** What changes nothing in the mount, and need not show as a change. */
function timesMayStay(operation: Operation, model: Model, expected: Outcome): boolean {
  const inode = model.subjectOf(operation);
  switch (operation.do) {
    case 'truncate':
    case 'ftruncate':
      return operation.size === inode?.size;
    case 'open':
      return (operation.flags & constants.O_TRUNC) !== 0 && inode?.size === 0;
    case 'fallocate':
      // Room for bytes that are there, or zeros in the place of zeros.
      return expected.identical === true;
    default:
      return expected.identical === true && inode?.original !== undefined;
  }
}

async function compareAll({ reference, subject }: Sides): Promise<string[]> {
  const [expected, found] = await Promise.all([reference.target.tree(), subject.target.tree()]);
  const differences = compareTrees(expected, found, subject.limits, BigInt(Date.now()) * 1_000_000n);
  const readable = found.filter(({ read }) => read !== undefined);
  const hashes = new Map(readable.map(({ path, hash }) => [path, hash]));
  for (const { path, hash } of expected) {
    if (hash === undefined || !hashes.has(path) || hashes.get(path) === hash) continue;
    const bytes = compareBytes(await reference.target.content(path), await subject.target.content(path));
    differences.push(...bytes.map((difference) => `'${path}': ${difference}`));
  }
  return differences;
}

async function restart(sides: Sides, model: Model): Promise<string[]> {
  for (const handle of model.handles.keys()) model.follow({ do: 'close', handle });
  await Promise.all([sides.reference.restart(), sides.subject.restart()]);
  return (await compareAll(sides)).map((difference) => `after a restart: ${difference}`);
}
