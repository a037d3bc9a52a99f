/**
 * Does the same operations on the reference and on a subject, one after the other, and compares.
 *
 * A run has many episodes, each with a seed of its own and a fresh fixture: mapped files with many writes become overlaid as
 * a whole, and the first writes to them are the interesting ones. State that outlives an episode (the store, its journal)
 * stays: an episode begins where all the others have ended.
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
const TREE_EVERY = 250;
const TOLD = 30;

export interface Sides {
  readonly reference: FolderSubject;
  readonly subject: Subject;
  readonly fixture: Fixture;
}

export interface Difference {
  readonly operations: readonly Operation[];
  /** The differences in words. */
  readonly differences: readonly string[];
}

/** Gives the next operation; none at the end. */
export type Source = (model: Model) => Operation | undefined;

/** `difference` has all operations of the run, for `shrink.ts` to shorten. */
export class DifferenceError extends Error {
  readonly difference: Difference;

  constructor(message: string, difference: Difference) {
    super(message);
    this.name = 'DifferenceError';
    this.difference = difference;
  }
}

/** Runs. @throws DifferenceError with the seed, the last operations and the differences */
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
    ...(subject.log ?? '').split('\n').slice(-TOLD),
  ].join('\n');
}

/** Runs operations until the first difference, or until there are no more. */
export async function episode(sides: Sides, name: string, source: Source): Promise<Difference | undefined> {
  const { reference, subject, fixture } = sides;
  const model = new Model();
  fixture.placeIn(model);
  await Promise.all([reference.begin(name), subject.begin(name)]);
  const operations: Operation[] = [];
  let differences: readonly string[];
  try {
    differences = await firstDifferences(sides, model, source, operations);
  } catch (error) {
    // A subject that breaks is reported with the operation that broke it; it may not even end.
    await Promise.allSettled([reference.end(), subject.end()]);
    return { operations, differences: [error instanceof Error ? (error.stack ?? error.message) : String(error)] };
  }
  await Promise.all([reference.end(), subject.end()]);
  return differences.length > 0 ? { operations, differences } : undefined;
}

/** `done` collects the operations. */
async function firstDifferences(
  sides: Sides,
  model: Model,
  source: Source,
  done: Operation[],
): Promise<readonly string[]> {
  for (let operation = source(model); operation !== undefined; operation = source(model)) {
    done.push(operation);
    const differences = await step(sides, model, operation);
    if (differences.length === 0 && done.length % TREE_EVERY === 0) differences.push(...(await compareAll(sides)));
    if (differences.length === 0 && done.length % sides.subject.restartEvery === 0) {
      differences.push(...(await restart(sides, model)));
    }
    if (differences.length > 0) return differences;
  }
  const differences = await compareAll(sides);
  return differences.length > 0 ? differences : await restart(sides, model);
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

/** Tells if an operation changes nothing in the mount, and so need not show as a change. */
function timesMayStay(operation: Operation, model: Model, expected: Outcome): boolean {
  const inode = model.subjectOf(operation);
  switch (operation.do) {
    case 'truncate':
    case 'ftruncate':
      return operation.size === inode?.size;
    case 'open':
      return (operation.flags & constants.O_TRUNC) !== 0 && inode?.size === 0;
    case 'fallocate':
      // Allocating bytes that are there, or writing zeros over zeros.
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
