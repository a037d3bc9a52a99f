/** The order in which a batch is added, and what is removed when: tried with a client of which the test decides all. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AddSteps, addAll, renamedAmong } from '../../../src/clients/adding/add-all.ts';
import { Adding } from '../../../src/clients/adding/adding.ts';
import { AutotorrentError } from '../../../src/errors.ts';
import { bytes, sample } from '../steps.ts';

const refusal = new AutotorrentError('CLIENT', 'refused');
const gone = new AutotorrentError('CLIENT', 'gone');

const torrents = ['a', 'b', 'c'].map((name, i) => sample({ name, content: bytes(10, i) }));
const requests = torrents.map((metainfo) => ({ metainfo, directory: '/store' }));
const batch = (): Adding[] => requests.map((request) => new Adding(request));

/** Takes everything, but for what `own` does; writes down what it is asked to remove. */
function client(own: Partial<AddSteps<Adding>> = {}): { steps: AddSteps<Adding>; removed: string[] } {
  const removed: string[] = [];
  const steps: AddSteps<Adding> = {
    present: async () => new Set(),
    load: async (all) => {
      for (const adding of all) adding.sent();
    },
    settle: async (all) => {
      for (const adding of all) adding.added();
    },
    discard: async (all) => void removed.push(...all.map(({ metainfo }) => metainfo.name)),
    ...own,
  };
  return { steps, removed };
}

const outcomes = async (steps: AddSteps<Adding>): Promise<string[]> =>
  (await addAll(batch(), steps)).map(({ outcome }) => outcome);

describe('adding a batch', () => {
  it('leaves alone what the client has, and does not send what it cannot seed', async () => {
    const loaded: string[] = [];
    const { steps, removed } = client({
      unsupported: ({ name }) => (name === 'a' ? refusal : undefined),
      present: async (all) => {
        assert.deepEqual(
          all.map(({ metainfo }) => metainfo.name),
          ['b', 'c'],
        );
        return new Set([torrents[1]?.infoHash ?? '']);
      },
      load: async (all) => void loaded.push(...all.map(({ metainfo }) => metainfo.name)),
    });
    assert.deepEqual(await outcomes(steps), ['failed', 'exists', 'added']);
    assert.deepEqual(loaded, ['c']);
    assert.deepEqual(removed, []);
  });

  it('removes what failed after it was sent, and not what was refused or is somebody else’s', async () => {
    const { steps, removed } = client({
      load: async (all) => {
        for (const adding of all) adding.sent();
        all[0]?.refused(refusal);
        all[1]?.exists();
      },
      settle: async (all) => {
        assert.equal(all.length, 1);
        await all[0]?.attempt(() => {
          throw refusal;
        });
      },
    });
    assert.deepEqual(await outcomes(steps), ['failed', 'exists', 'failed']);
    assert.deepEqual(removed, ['c']);
  });

  it('removes all that was sent where it breaks off, also what was just added, and says why', async () => {
    const { steps, removed } = client({
      load: async ([first, second, third]) => {
        first?.sent();
        // The answer to this one is lost.
        second?.sent();
        assert.ok(third);
        throw gone;
      },
    });
    await assert.rejects(addAll(batch(), steps), gone);
    assert.deepEqual(removed, ['a', 'b']);
    const late = client({
      settle: async ([first]) => {
        first?.added();
        throw gone;
      },
    });
    await assert.rejects(addAll(batch(), late.steps), gone);
    assert.deepEqual(late.removed, ['a', 'b', 'c']);
  });

  it('tells the first error where the client cannot be reached to remove anything either', async () => {
    const discard = async (): Promise<never> => {
      throw new AutotorrentError('CLIENT', 'still gone');
    };
    const broken = client({
      settle: async () => {
        throw gone;
      },
      discard,
    });
    await assert.rejects(addAll(batch(), broken.steps), gone);
    const refused = client({
      settle: async (all) => {
        for (const adding of all) adding.failed(refusal);
      },
      discard,
    });
    assert.deepEqual(await outcomes(refused.steps), ['failed', 'failed', 'failed']);
  });

  it('takes an unexpected error of one torrent for what it is: a bug', async () => {
    const bug = new TypeError('bug');
    const { steps, removed } = client({
      settle: async (all) => {
        await all[0]?.attempt(() => {
          throw bug;
        });
      },
    });
    await assert.rejects(addAll(batch(), steps), bug);
    assert.deepEqual(removed, ['a', 'b', 'c']);
    await assert.rejects(addAll(batch(), client({ settle: async () => {} }).steps), /nobody said what became of/);
  });

  it('knows which were renamed', () => {
    const names = [['x']];
    const results = [{ outcome: 'added' }, { outcome: 'added', names }, { outcome: 'exists' }] as const;
    assert.deepEqual(renamedAmong(requests, results), [torrents[1]?.infoHash]);
  });
});
