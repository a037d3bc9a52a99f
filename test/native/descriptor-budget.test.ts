import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { budgetFor, DescriptorBudget, isOutOfDescriptors } from '../../src/native/descriptor-budget.ts';

const failing = (code: string) => Object.assign(new Error(code), { code });

describe('the budget of descriptors', () => {
  /** Holds what it opened as numbers, and closes the oldest that is idle. */
  function holder(budget: DescriptorBudget) {
    const idle: number[] = [];
    let next = 0;
    const closed: number[] = [];
    const share = budget.share(() => {
      const fd = idle.shift();
      if (fd === undefined) return false;
      closed.push(fd);
      share.closed();
      return true;
    });
    return { share, idle, closed, open: () => share.openSync(() => ++next) };
  }

  it('keeps a part of the limit back', () => {
    assert.deepEqual([64, 256, 1024, 4096, 1_048_576, Infinity].map(budgetFor), [16, 176, 768, 3584, 4096, 4096]);
  });

  it('closes idle descriptors of the share that holds most before it opens more', () => {
    const budget = new DescriptorBudget(4);
    const [a, b] = [holder(budget), holder(budget)];
    a.idle.push(a.open(), a.open(), a.open());
    b.idle.push(b.open());
    b.open();
    assert.deepEqual([a.closed, b.closed, budget.held], [[1], [], 4]);
  });

  it('asks the others where the share that holds most uses all of its own', () => {
    const budget = new DescriptorBudget(3);
    const [a, b] = [holder(budget), holder(budget)];
    a.open();
    a.open();
    b.idle.push(b.open());
    a.open();
    assert.deepEqual([b.closed, a.share.held, b.share.held], [[1], 3, 0]);
  });

  it('says that too many files are open, whatever the system calls it', () => {
    const { share } = holder(new DescriptorBudget(100));
    const open = (): never => {
      throw failing('EMFILE');
    };
    assert.throws(() => share.openSync(open), { name: 'PosixError', code: 'ENFILE' });
    assert.equal(share.held, 0);
  });

  it('closes an idle one and tries again where the system has no more', async () => {
    for (const code of ['EMFILE', 'ENFILE']) {
      const budget = new DescriptorBudget(100);
      const a = holder(budget);
      a.idle.push(a.open(), a.open());
      let tries = 0;
      const open = (): string => {
        if (++tries % 2 === 1) throw failing(code);
        return 'opened';
      };
      assert.equal(a.share.openSync(open), 'opened');
      assert.equal(await a.share.open(async () => open()), 'opened');
      assert.deepEqual([a.closed, budget.held], [[1, 2], 2]);
    }
  });

  it('waits for one that is in use, and says so where none comes', async () => {
    const budget = new DescriptorBudget(1, 100);
    const { share } = holder(budget);
    share.openSync(() => 1);
    const waiting = share.open(async () => 2);
    setTimeout(() => share.closed(), 30);
    assert.equal(await waiting, 2);
    await assert.rejects(
      share.open(async () => 3),
      isOutOfDescriptors,
    );
    assert.equal(budget.held, 1);
  });

  it('counts nothing for an opening that failed', async () => {
    const budget = new DescriptorBudget(2);
    const { share } = holder(budget);
    assert.throws(
      () =>
        share.openSync(() => {
          throw failing('ENOENT');
        }),
      { code: 'ENOENT' },
    );
    await assert.rejects(
      share.open(async () => {
        throw failing('EACCES');
      }),
      { code: 'EACCES' },
    );
    assert.equal(budget.held, 0);
  });

  it('has the hard limit of the process, to which Node raises the soft one', () => {
    const program = `import(${JSON.stringify(new URL('../../src/native/descriptor-budget.js', import.meta.url).href)})
      .then(({ openFilesLimit }) => console.log(openFilesLimit()))`;
    const text = execFileSync('prlimit', ['--nofile=128:300', process.execPath, '-e', program], { encoding: 'utf8' });
    assert.equal(text.trim(), '300');
  });
});
