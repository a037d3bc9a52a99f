import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import { AutotorrentError, PosixError } from '../../src/errors.ts';
import { errnoFor } from '../../src/fuse/errno.ts';
import { createLogger } from '../../src/logger.ts';

describe('errnoFor', () => {
  it('gives the number of a code, and says nothing', () => {
    const lines: string[] = [];
    const logger = createLogger('debug', (line) => lines.push(line));
    assert.equal(errnoFor(new PosixError('ENOENT'), 'open', logger), -2);
    assert.equal(errnoFor(new PosixError('EOPNOTSUPP'), 'open', logger), -constants.errno.EOPNOTSUPP);
    assert.equal(errnoFor(new PosixError('ESTALE'), 'open', logger), -constants.errno.ESTALE);
    assert.deepEqual(lines, []);
  });

  it('takes what Node says of files of our own for a fault of ours, but for what the disk says', () => {
    const lines: string[] = [];
    const logger = createLogger('debug', (line) => lines.push(line));
    const ofNode = (code: string): Error => Object.assign(new Error(`${code}: it failed`), { code });
    for (const code of ['ENOENT', 'EBADF', 'EACCES', 'EEXIST', 'EMFILE']) {
      assert.equal(errnoFor(ofNode(code), 'read', logger), -constants.errno.EIO, code);
    }
    assert.equal(lines.length, 5);
    for (const code of ['ENOSPC', 'EDQUOT', 'EROFS', 'EFBIG'] as const) {
      assert.equal(errnoFor(ofNode(code), 'write', logger), -constants.errno[code], code);
    }
    const full = new AutotorrentError('STORE', 'it could not be written', { cause: new PosixError('ENOSPC') });
    assert.equal(errnoFor(full, 'unlink', logger), -constants.errno.ENOSPC);
    assert.equal(lines.length, 5);
  });

  it('logs what it does not know, and answers EIO', () => {
    const lines: string[] = [];
    const logger = createLogger('debug', (line) => lines.push(line));
    assert.equal(errnoFor(new TypeError('a bug'), 'open', logger), -5);
    assert.deepEqual(lines, ['error: open failed: a bug\n']);
  });
});
