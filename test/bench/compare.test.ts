/** The comparison of two runs: changes, noise, and files that are no runs. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { compareRuns, type Verdict } from '../../bench/lib/compare.ts';
import { absolute, compared, meets, type Row } from '../../bench/lib/row.ts';
import { newRun, type Run, readRun, writeRun } from '../../bench/lib/run-file.ts';
import { median, spread } from '../../bench/lib/statistics.ts';
import { temporaryFolder } from '../harness/folder.ts';

const machine = {
  cpu: 'a processor',
  processors: 2,
  memory_bytes: 1,
  arch: 'x64',
  kernel: '6',
  temporary_files: 'ef53',
  load: 0,
};

function runOf(rows: readonly Row[]): Run {
  const suites = [{ name: 'suite', seconds: 1, rows }];
  return newRun({ date: '2026-01-01T00:00:00.000Z', size: 'full', versions: {}, machine, suites });
}

const reference = { name: 'reference', stands_for: 'A sentence.' };

function ratioRow(ours: readonly number[], theirs: readonly number[]): Row {
  return compared({ name: 'r', unit: 's', figures: ours, reference: { ...reference, figures: theirs } });
}

function verdict(before: Row, after: Row): Verdict | undefined {
  return compareRuns(runOf([before]), runOf([after]))[0]?.verdict;
}

describe('a comparison of two runs', () => {
  it('compares the ratios of rows that have some, whatever the machine did to both sides', () => {
    const before = ratioRow([1, 1.01, 0.99], [1, 1, 1]);
    // Everything takes ten times as long.
    const after = ratioRow([10, 10.1, 9.9], [10, 10, 10]);
    const [one] = compareRuns(runOf([before]), runOf([after]));
    assert.equal(one?.of, 'ratio');
    assert.equal(one?.before, 1);
    assert.equal(one?.after, 1);
    assert.equal(one?.verdict, 'same');
  });

  it('calls a change noise that is within the spreads of the repeats', () => {
    const noisy = [1, 1.2, 0.8, 1.1, 0.9];
    assert.equal(verdict(ratioRow(noisy, [1]), ratioRow([1.2, 1.4, 1, 1.3, 1.1], [1])), 'same');
    assert.equal(verdict(ratioRow([1, 1.01, 0.99], [1]), ratioRow([1.2, 1.21, 1.19], [1])), 'worse');
    assert.equal(verdict(ratioRow([1.2, 1.21, 1.19], [1]), ratioRow([1, 1.01, 0.99], [1])), 'better');
  });

  it('knows which direction is the better one', () => {
    const rate = (figures: readonly number[]): Row => absolute({ name: 'r', unit: 'MB/s', figures });
    assert.equal(verdict(rate([100, 101, 99]), rate([200, 201, 199])), 'better');
    const time = (figures: readonly number[]): Row => absolute({ name: 'r', unit: 's', figures });
    assert.equal(verdict(time([100, 101, 99]), time([200, 201, 199])), 'worse');
    const least = (figure: number): Row =>
      absolute({ name: 'r', unit: 'pieces', figures: [figure], target: { at_least: 5 }, exact: true });
    assert.equal(verdict(least(6), least(5)), 'worse');
  });

  it('does not judge a change of figures without repeats, but of counts', () => {
    const one = (figure: number): Row => absolute({ name: 'r', unit: 'MB', figures: [figure] });
    assert.equal(verdict(one(1), one(2)), 'unclear');
    assert.equal(verdict(one(1), one(1)), 'same');
    const count = (figure: number): Row => absolute({ name: 'r', unit: 'bytes', figures: [figure], exact: true });
    assert.equal(verdict(count(0), count(1)), 'worse');
  });

  it('names rows that only one of them has', () => {
    const row = (name: string): Row => absolute({ name, unit: 's', figures: [1] });
    const verdicts = compareRuns(runOf([row('a'), row('b')]), runOf([row('b'), row('c')]));
    assert.deepEqual(
      verdicts.map((one) => [one.name, one.verdict]),
      [
        ['b', 'same'],
        ['c', 'new'],
        ['a', 'gone'],
      ],
    );
  });
});

describe('a row', () => {
  it('has the median of the ratios within the rounds', () => {
    const row = ratioRow([1, 20, 3], [1, 10, 1]);
    assert.deepEqual(row.ratios, [1, 2, 3]);
    assert.equal(row.ratio, 2);
  });

  it('meets its target by its ratio, or else by its value', () => {
    const options = { name: 'r', unit: 's', figures: [2, 4] };
    assert.equal(meets(absolute({ ...options, target: { at_most: 3 } })), true);
    assert.equal(meets(absolute({ ...options, target: { at_least: 3.1 } })), false);
    assert.equal(meets(absolute(options)), undefined);
    const ratio = compared({ ...options, reference: { ...reference, figures: [1] }, target: { at_most: 2.9 } });
    assert.equal(meets(ratio), false);
  });

  it('has a spread only where there are repeats', () => {
    assert.equal(median([3, 1, 2, 10]), 2.5);
    assert.equal(spread([1, 2]), undefined);
    assert.equal(spread([1, 2, 3]), 0.5);
    assert.equal(spread([0, 0, 0]), 0);
  });
});

describe('the file of a run', () => {
  const folder = temporaryFolder('bench-run');

  it('is read as it was written', () => {
    const run = runOf([ratioRow([1, 2, 3], [1, 1, 1])]);
    writeRun(join(folder, 'run.json'), run);
    assert.deepEqual(readRun(join(folder, 'run.json')), run);
  });

  it('is not written with a figure that is no number', () => {
    const run = runOf([absolute({ name: 'broken', unit: 's', figures: [Number.NaN] })]);
    assert.throws(() => writeRun(join(folder, 'broken.json'), run), /suite, broken: a figure is no number/);
  });

  const damaged: readonly (readonly [what: string, text: string, message: RegExp])[] = [
    ['no JSON', '{', /cannot be read as the JSON of a run/],
    ['null', 'null', /format undefined/],
    ['the list of an older version', '[]', /a list of an older version/],
    ['another format', '{"format": 2, "suites": []}', /format 2, and format 1 is needed/],
    ['suites that are none', '{"format": 1, "suites": [{"name": "s", "rows": [{"name": 1}]}]}', /damaged/],
  ];
  for (const [what, text, message] of damaged) {
    it(`is refused: ${what}`, () => {
      writeFileSync(join(folder, 'other.json'), text);
      assert.throws(() => readRun(join(folder, 'other.json')), message);
    });
  }
});
