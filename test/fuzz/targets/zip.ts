/** The seeds are the ZIPs of `corpus/zip`, made with Python's zipfile. */
import { openZip } from '../../../src/container/zip.ts';
import { checkArchive } from '../archive-volumes.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  seeds: () => [],
  tokens: [
    'PK\x01\x02',
    'PK\x03\x04',
    'PK\x05\x06',
    'PK\x06\x06',
    'PK\x06\x07',
    Buffer.from('01001c00', 'hex'),
    '../',
    '\0',
  ],
  run(input) {
    checkArchive(openZip, [input]);
  },
};
