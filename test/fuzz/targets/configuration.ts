import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type ParseOptions, parseConfig } from '../../../src/config/parse.ts';
import { AutotorrentError } from '../../../src/errors.ts';
import type { FuzzTarget } from '../target.ts';

const OPTIONS: ParseOptions = {
  file: '/etc/autotorrent.conf',
  home: '/home/user',
  accounts: {
    passwd: 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n',
    group: 'media:x:1001:user\n',
  },
};
const SMALL = `[general]
db = ~/db
store_path = /store
scan_mode = unsplitable,normal
add_limit_size = 64 MB
add_limit_percent = 1.5
owner = user:media
umask = 022
path_map = /store = /data
ignore_files = *.nfo, a/**/b
[disks]
one = /disk 100%%
  more
[client]
client = rtorrent
url = scgi://user:pass@host:5000
`;

export const target: FuzzTarget = {
  seeds: () => [
    Buffer.from(SMALL),
    readFileSync(resolve('autotorrent.conf.example')),
    ...['deluge', 'transmission', 'qbittorrent', 'none'].map((client) =>
      Buffer.from(
        `[general]\nstore_path = s\n[disks]\na = b\n[client]\nclient = ${client}\nurl = http://h:1/\nlabel = l\n`,
      ),
    ),
  ],
  tokens: [
    '[general]',
    '[disks]',
    '[client]',
    '[client-x]',
    '[',
    ']',
    '=',
    ':',
    '#',
    ';',
    '%',
    '%%',
    '%(db)s',
    '\n',
    '\r\n',
    '\r',
    '\n ',
    '\ufeff',
    '\u2028',
    '\xff',
    '\0',
    ',',
    '~',
    '~/',
    '../',
    'verify = none',
    'fast_resume = trust',
    'exact_target = original',
    'host = [::1]:5',
    'username = ',
    'password = ',
    'driver = ',
    'allow_other = ',
    'read_only = ',
    '__proto__ = 1',
    'constructor = 1',
  ],
  run(input) {
    try {
      // A section that is asked for by name takes another way.
      const chosen = input.length % 4 === 0 ? { ...OPTIONS, client: 'x' } : OPTIONS;
      const config = parseConfig(input, chosen);
      assert.ok(Object.isFrozen(config) && config.storePath.startsWith('/'));
      assert.deepEqual(parseConfig(input, chosen), config);
    } catch (error) {
      if (!(error instanceof AutotorrentError && error.code === 'CONFIG')) throw error;
    }
  },
};
