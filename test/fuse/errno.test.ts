import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import { PosixError } from '../../src/errors.ts';
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

  it('logs what it does not know, and answers EIO', () => {
    const lines: string[] = [];
    const logger = createLogger('debug', (line) => lines.push(line));
    assert.equal(errnoFor(new TypeError('a bug'), 'open', logger), -5);
    assert.deepEqual(lines, ['error: open failed: a bug\n']);
  });
});
