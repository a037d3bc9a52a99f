import { AutotorrentError } from '../../../src/errors.ts';
import { parseMetainfo } from '../../../src/metainfo/parse.ts';
import { checkPromises, SEEDS } from '../../metainfo/promises.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  seeds: () => SEEDS,
  tokens: [
    'd',
    'l',
    'e',
    'i0e',
    'i-1e',
    'i-0e',
    'i00e',
    'i9007199254740993e',
    '0:',
    '1:.',
    '2:..',
    '1:/',
    '1:\0',
    'le',
    'de',
    '4:info',
    '4:path',
    '6:length',
    '4:attr',
    '1:p',
    '1:l',
    '5:files',
    '6:pieces',
    '12:piece layers',
    '9:file tree',
    '12:piece length',
    '12:meta version',
    'i2e',
    '11:pieces root',
    '12:symlink path',
    '10:name.utf-8',
    '99999999999:',
  ],
  run(input) {
    try {
      checkPromises(parseMetainfo(input), input);
    } catch (error) {
      if (!(error instanceof AutotorrentError && error.code === 'TORRENT')) throw error;
    }
  },
};
