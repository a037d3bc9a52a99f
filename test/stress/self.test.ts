/** The stress itself: two ordinary folders must agree, and a fault that is planted in one of them must be found. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { temporaryFolder } from '../harness/folder.ts';
import { Fixture } from './fixture.ts';
import { runSideBySide, type Sides } from './side-by-side.ts';
import { FolderSubject, type Subject } from './subject.ts';
import type { Outcome, Request, Target } from './target.ts';

/** Answers as `target` does, except for the change of `fault` to the request before or the outcome after. */
function faulty(
  target: Target,
  fault: { request?: (request: Request) => Request; outcome?: (request: Request, outcome: Outcome) => Outcome },
): Target {
  const { request = (same) => same, outcome = (_request, same) => same } = fault;
  return {
    name: target.name,
    run: async (asked) => outcome(asked, await target.run(request(asked))),
    tree: async () => await target.tree(),
    content: async (path) => await target.content(path),
  };
}

describe('the comparison of two folders', () => {
  let folder: string;
  let fixture: Fixture;
  let reference: FolderSubject;
  let other: FolderSubject;
  let sides: Sides;

  before(async () => {
    folder = temporaryFolder('stress');
    fixture = await Fixture.make(join(folder, 'sources'));
    reference = new FolderSubject(join(folder, 'reference'), fixture, { isReference: true });
    other = new FolderSubject(join(folder, 'other'), fixture, { isReference: false });
    sides = { reference, subject: other, fixture };
  });
  after(async () => {
    await reference.close();
    await other.close();
  });

  const finds = async (fault: Parameters<typeof faulty>[1], message: RegExp): Promise<void> => {
    const subject: Subject = {
      target: faulty(other.target, fault),
      limits: other.limits,
      restartEvery: other.restartEvery,
      begin: async (name) => await other.begin(name),
      restart: async () => await other.restart(),
      end: async () => await other.end(),
      close: async () => await other.close(),
    };
    await assert.rejects(runSideBySide({ ...sides, subject }, { seed: 1, count: 2000 }), message);
  };

  it('finds nothing between two of a kind', async () => {
    await runSideBySide(sides, { seed: 1, count: 1000 });
  });

  it('finds a write that loses its last byte', async () => {
    const lose = (request: Request): Request =>
      request.operation.do === 'write' && request.data !== undefined && request.data.length > 1
        ? { ...request, data: Buffer.concat([request.data.subarray(0, -1), Buffer.from([request.data.at(-1)! ^ 1])]) }
        : request;
    await finds({ request: lose }, /differs at operation \d+ of seed 1\n[\s\S]*\d+ bytes differ/);
  });

  it('finds an errno that is another one', async () => {
    await finds(
      { outcome: (_request, outcome) => (outcome.error === 'ENOTEMPTY' ? { ...outcome, error: 'EBUSY' } : outcome) },
      /answers EBUSY, and should ENOTEMPTY/,
    );
  });

  it('finds a time that stays', async () => {
    const stay = ({ operation }: Request, outcome: Outcome): Outcome =>
      operation.do === 'write' || operation.do === 'ftruncate' ? { ...outcome, after: outcome.before } : outcome;
    await finds({ outcome: stay }, /mtime stayed/);
  });
});
