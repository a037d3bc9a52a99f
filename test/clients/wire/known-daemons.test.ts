/** What the state says of the users whom clients run as, whatever somebody wrote into it. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { KnownDaemons } from '../../../src/clients/wire/known-daemons.ts';
import { temporaryFolder } from '../../harness/folder.ts';

const PLACE = '127.0.0.1:9091';

describe('whom a client runs as, in the state', () => {
  let file: string;
  let known: KnownDaemons;

  beforeEach(() => {
    file = join(temporaryFolder('known-daemons'), 'known_daemons');
    known = new KnownDaemons(file);
  });

  it('is the last that was remembered, and leaves the first user alone', () => {
    known.rememberUid(PLACE, 34);
    assert.equal(known.rememberProgramUser(PLACE, { uid: 4001, gid: 4002 }), true);
    assert.equal(known.rememberProgramUser(PLACE, { uid: 4001, gid: 4002 }), false);
    assert.equal(known.rememberProgramUser(PLACE, { uid: 4003, gid: 4004 }), true);
    assert.deepEqual(known.programUserOf(PLACE), { uid: 4003, gid: 4004 });
    assert.equal(known.uidOf(PLACE), 34);
    assert.equal(known.programUserOf('127.0.0.1:9092'), undefined);
    assert.equal(known.rememberProgramUser(PLACE, undefined), true);
    assert.equal(known.programUserOf(PLACE), undefined);
    assert.equal(known.rememberProgramUser(PLACE, undefined), false);
    assert.equal(readFileSync(file, 'utf8').match(/runs-as/g)?.length, 3);
  });

  it('counts while the account has its name', () => {
    known.rememberProgramUser(PLACE, { uid: 0, gid: 0, name: 'root' });
    assert.deepEqual(known.programUserOf(PLACE), { uid: 0, gid: 0, name: 'root' });
    known.rememberProgramUser(PLACE, { uid: 0, gid: 0, name: 'toor' });
    assert.equal(known.programUserOf(PLACE), undefined);
    // A name that would break the line is left out.
    known.rememberProgramUser(PLACE, { uid: 4001, gid: 1, name: 'a b\n127.0.0.1:1 uid:0' });
    assert.deepEqual(known.programUserOf(PLACE), { uid: 4001, gid: 1 });
    assert.equal(known.uidOf('127.0.0.1:1'), undefined);
  });

  const HOSTILE = [
    'runs-as:4294967295:1:',
    'runs-as:1:4294967295:',
    'runs-as:99999999999:1:',
    'runs-as:-1:1:',
    'runs-as:1:',
    'runs-as:1:2',
    'runs-as:0x1:1:',
    'runs-as:1:1:a:b',
    'runs-as:1:1:../../etc',
    'uid:1',
    '\0\u{1f600}',
    '',
  ];
  for (const mark of HOSTILE) {
    it(`is unknown by the line ${JSON.stringify(mark)}`, () => {
      writeFileSync(file, `${PLACE} ${mark}\n`);
      assert.equal(known.programUserOf(PLACE), undefined);
    });
  }
});
