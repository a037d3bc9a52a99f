import assert from 'node:assert/strict';
import { RequestError, readRequest } from '../../../src/fuse/kernel/protocol/requests.ts';
import { examples, USUAL } from '../../fuse/kernel/protocol/examples.ts';
import { packRequest } from '../../fuse/kernel/protocol/pack.ts';
import type { FuzzTarget } from '../target.ts';

/** Fields that may have any number: ids, and what only has bits. */
const ANY = new Set([
  'uid',
  'gid',
  'pid',
  'node',
  'opcode',
  'flags',
  'rdev',
  'mode',
  'umask',
  'mask',
  'whence',
  'major',
]);

export const target: FuzzTarget = {
  seeds: () => examples(USUAL).map(({ opcode, body }) => packRequest(opcode, body)),
  tokens: ['\0', 'name\0', Buffer.alloc(8, 0xff), Buffer.from([0, 0, 0, 0, 0, 0, 0x20, 0])],
  /** The length, so that the rest is looked at. */
  repair(input) {
    if (input.length >= 4) input.writeUInt32LE(input.length);
  },
  run(input) {
    let request: object;
    try {
      request = readRequest(input);
    } catch (error) {
      if (error instanceof RequestError) return;
      throw error;
    }
    for (const [field, value] of Object.entries(request)) {
      if (typeof value === 'number') assert.ok(Number.isSafeInteger(value), field);
      if (typeof value === 'number' && !ANY.has(field) && field !== 'offset') assert.ok(value >= 0, field);
      if (field === 'name' || field === 'newName' || field === 'target') {
        if (typeof value === 'string') assert.ok(value.length > 0 && !value.includes('\0'), field);
      }
      if (Buffer.isBuffer(value)) assert.ok(value.length < input.length, field);
    }
  },
};
