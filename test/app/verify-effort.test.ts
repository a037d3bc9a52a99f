import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { verifyEffort } from '../../src/app/verify-effort.ts';
import { bytes, sample } from '../clients/steps.ts';

describe('how much of a torrent is hashed', () => {
  const metainfo = sample({ name: 'x', content: bytes(10, 1) });
  const rtorrent = { takesWord: () => true };
  const libtorrent = { takesWord: (_: unknown, whole: boolean) => whole };
  const transmission = { takesWord: () => false };

  it('is what the client then need not hash', () => {
    const auto = { verify: 'auto', fastResume: 'verified' } as const;
    assert.deepEqual(verifyEffort(auto, rtorrent, metainfo), { verify: 'full', spares: false });
    assert.deepEqual(verifyEffort(auto, libtorrent, metainfo), { verify: 'full-if-whole', spares: false });
    assert.deepEqual(verifyEffort(auto, transmission, metainfo), { verify: 'probe', spares: false });
  });

  it('is a probe where nobody is told what was hashed, or all is believed anyway', () => {
    assert.equal(verifyEffort({ verify: 'auto', fastResume: 'verified' }, undefined, metainfo).verify, 'probe');
    for (const fastResume of ['never', 'trust'] as const) {
      assert.equal(verifyEffort({ verify: 'auto', fastResume }, rtorrent, metainfo).verify, 'probe');
    }
  });

  it('is what was asked for, whatever the client', () => {
    for (const verify of ['none', 'probe', 'full'] as const) {
      for (const client of [rtorrent, transmission, undefined]) {
        assert.deepEqual(verifyEffort({ verify, fastResume: 'never' }, client, metainfo), { verify, spares: true });
      }
    }
  });
});
