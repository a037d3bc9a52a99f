import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { progressText, Rate } from '../../src/cli/hashing-progress.ts';

const GB = 1_000_000_000;

describe('the progress of hashing', () => {
  it('says what is done, the rate, and the time left', () => {
    const progress = { doneBytes: 1.2 * GB, totalBytes: 5 * GB };
    assert.equal(progressText(progress, 0.5 * GB), '1.2 GB of 5.0 GB, 500.0 MB/s, 8s left');
    assert.equal(progressText(progress, undefined), '1.2 GB of 5.0 GB');
    assert.equal(progressText(progress, 0), '1.2 GB of 5.0 GB');
    assert.equal(
      progressText({ ...progress, readTorrents: 100, torrents: 100 }, GB),
      '1.2 GB of 5.0 GB, 1.0 GB/s, 4s left',
    );
  });

  it('counts on as much again of torrents that are not read yet', () => {
    const progress = { doneBytes: GB, totalBytes: 5 * GB, readTorrents: 500, torrents: 1000 };
    assert.equal(progressText(progress, GB), '1.0 GB of 5.0 GB, 1.0 GB/s, about 9s left, 500 of 1000 torrents read');
  });

  it('takes the rate of the last seconds', () => {
    const rate = new Rate(0);
    assert.equal(rate.at(0, { doneBytes: 0, totalBytes: 9 }), undefined);
    for (let second = 1; second <= 60; second++) rate.at(second * 1000, { doneBytes: second * 100, totalBytes: 1e9 });
    let last = 0;
    for (let second = 61; second <= 80; second++) {
      last = rate.at(second * 1000, { doneBytes: 6000 + (second - 60) * 10, totalBytes: 1e9 }) ?? 0;
    }
    assert.equal(last, 10);
  });
});
