import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Config } from '../../src/config/config.ts';
import { type ParseOptions, parseConfig } from '../../src/config/parse.ts';
import { AutotorrentError } from '../../src/errors.ts';

const FILE = '/home/u/at/autotorrent.conf';
const ACCOUNTS = {
  passwd: 'root:x:0:0:root:/root:/bin/sh\nrtorrent:x:1001:1002::/home/r:/bin/sh\nbroken\n+::::::\n',
  group: 'root:x:0:\nmedia:x:2000:rtorrent\n',
};

/** The template that the original's --create_config wrote. */
const ORIGINAL = `[general]
db=_autotorrent.db
ignore_files=
store_path=/home/rtorrent/myseeds/
add_limit_size=64000000
add_limit_percent=1
link_type=soft
scan_mode=unsplitable,normal

[disks]
disk1=/mnt/sd1/anime/
disk2=/mnt/sd1/tv/

[client]
client=rtorrent
url=http://user:pass@127.0.0.1/RPC2
label=seeded`;

const parse = (text: string, options: Partial<ParseOptions> = {}): Config =>
  parseConfig(text, { file: FILE, home: '/home/u', accounts: ACCOUNTS, ...options });

/** A [general] with these lines after a valid store_path; they begin at line 3. */
const general = (lines: string): string => `[general]\nstore_path = /store\n${lines}\n`;

const stateOf = (path: string): string => parse(`[general]\nstore_path = ${path}\n`).statePath;
const withDisks = (lines: string): string => `${general('')}[disks]\n${lines}\n`;
const withClient = (lines: string): string => `[general]\nstore_path=/s\n[client]\n${lines}\n`;

function errorOf(text: string, options: Partial<ParseOptions> = {}): AutotorrentError {
  try {
    parse(text, options);
  } catch (error) {
    assert.ok(error instanceof AutotorrentError, String(error));
    assert.equal(error.code, 'CONFIG');
    return error;
  }
  return assert.fail('it was accepted');
}

describe('parseConfig', () => {
  it("reads the original's template unchanged", () => {
    assert.deepEqual(parse(ORIGINAL), {
      file: FILE,
      db: '/home/u/at/_autotorrent.db',
      storePath: '/home/rtorrent/myseeds',
      statePath: '/home/u/at/_autotorrent.db.state/myseeds-b7e1f67b',
      ignoreFiles: [],
      settle: 0,
      addLimitSize: 64_000_000,
      addLimitPercent: 1,
      scanModes: ['unsplitable', 'normal'],
      exactTarget: 'mount',
      verify: 'auto',
      hashReaders: parse(general('')).hashReaders,
      hashSizeVarying: 10,
      hashLimit: { candidates: 12, bytes: 2 ** 27 },
      driver: 'auto',
      allowOther: undefined,
      owner: undefined,
      umask: 0o022,
      showLinks: true,
      fastResume: 'verified',
      verifyReads: 'suspect',
      passthrough: 'auto',
      holdSources: 512,
      scrub: 'idle',
      scrubDays: 90,
      recover: true,
      onLoss: 'repair',
      repairLimit: 1_000_000_000,
      rescueLimit: 64_000_000,
      rescueTotal: 2_000_000_000,
      protect: 'off',
      protectOf: new Map(),
      protectDays: 14,
      clientSections: [''],
      pathMap: [],
      disks: ['/mnt/sd1/anime', '/mnt/sd1/tv'],
      diskNames: new Map([
        ['disk1', '/mnt/sd1/anime'],
        ['disk2', '/mnt/sd1/tv'],
      ]),
      client: {
        client: 'rtorrent',
        url: 'http://user:pass@127.0.0.1/RPC2',
        label: 'seeded',
        knownDaemons: '/home/u/at/_autotorrent.db.state/myseeds-b7e1f67b/known_daemons',
      },
      notices: [`${FILE}, line 7: link_type = soft now means virtual: the mount at store_path replaces trees of links`],
    });
  });

  it('needs no more than store_path', () => {
    const config = parse(general(''));
    assert.equal(config.db, '/home/u/at/autotorrent.db');
    assert.match(config.statePath, /^\/home\/u\/at\/autotorrent\.db\.state\/store-[0-9a-f]{8}$/);
    assert.equal(config.addLimitSize, 64_000_000);
    assert.ok(config.hashReaders >= 1 && config.hashReaders <= 4);
    assert.deepEqual([config.disks, config.client, config.notices], [[], undefined, []]);
  });

  it('gives what nobody can change', () => {
    const config = parse(`${ORIGINAL}\n`);
    assert.throws(() => Object.assign(config, { db: '/x' }), TypeError);
    assert.throws(() => Object.assign(config.disks, { 0: '/x' }), TypeError);
    assert.throws(() => Object.assign(config.scanModes, { 0: 'x' }), TypeError);
    assert.throws(() => Object.assign(config.notices, { 0: 'x' }), TypeError);
    assert.throws(() => Object.assign(config.client ?? {}, { url: 'x' }), TypeError);
  });

  const accepted: readonly (readonly [string, keyof Config, unknown])[] = [
    ['add_limit_size = 64 MB', 'addLimitSize', 64_000_000],
    ['add_limit_size = 1GiB', 'addLimitSize', 2 ** 30],
    ['add_limit_size = 1.5 kb', 'addLimitSize', 1500],
    ['add_limit_size = 2 tib', 'addLimitSize', 2 ** 41],
    ['add_limit_size = 7 bytes', 'addLimitSize', 7],
    ['add_limit_size = 0', 'addLimitSize', 0],
    ['add_limit_percent = 0.5', 'addLimitPercent', 0.5],
    ['add_limit_percent = 2 %%', 'addLimitPercent', 2],
    ['add_limit_percent = 200', 'addLimitPercent', 200],
    ['scan_mode = normal , Exact', 'scanModes', ['exact', 'normal']],
    ['scan_mode = normal,normal', 'scanModes', ['normal']],
    ['scan_mode =\n  exact\n  normal', 'scanModes', ['exact', 'normal']],
    ['ignore_files = *.nfo, , a b ,c', 'ignoreFiles', ['*.nfo', 'a b', 'c']],
    ['ignore_files = *.nfo,\n  *.sfv', 'ignoreFiles', ['*.nfo', '*.sfv']],
    ['settle = 60', 'settle', 60],
    ['verify = FULL', 'verify', 'full'],
    ['exact_target = original', 'exactTarget', 'original'],
    ['fast_resume: never', 'fastResume', 'never'],
    ['verify_reads = first', 'verifyReads', 'first'],
    ['show_links = Off', 'showLinks', false],
    ['passthrough = Safe', 'passthrough', 'safe'],
    ['hold_sources = 0', 'holdSources', 0],
    ['recover = OFF', 'recover', false],
    ['on_loss = Tell', 'onLoss', 'tell'],
    ['repair_limit = 500 MB', 'repairLimit', 500_000_000],
    ['rescue_limit = 0', 'rescueLimit', 0],
    ['rescue_total = 1 GiB', 'rescueTotal', 1_073_741_824],
    ['protect = Reflink', 'protect', 'reflink'],
    ['protect = hardlink', 'protect', 'hardlink'],
    ['protect_days = 0', 'protectDays', 0],
    ['protect_days = forever', 'protectDays', Number.POSITIVE_INFINITY],
    [
      'path_map = /a/ = /b, /c=/',
      'pathMap',
      [
        { own: '/a', client: '/b' },
        { own: '/c', client: '/' },
      ],
    ],
    ['driver = fuse-native', 'driver', 'fuse-native'],
    ['hash_readers = 12', 'hashReaders', 12],
    ['hash_size_varying = 60', 'hashSizeVarying', 60],
    ['hash_limit = 2 GiB, 8', 'hashLimit', { candidates: 8, bytes: 2 ** 31 }],
    ['hash_limit = 64 MB', 'hashLimit', { candidates: Number.MAX_SAFE_INTEGER, bytes: 64e6 }],
    ['hash_limit = NONE', 'hashLimit', { candidates: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER }],
    ['scan_mode = hash_slow, exact', 'scanModes', ['exact', 'hash_slow']],
    ['allow_other = On', 'allowOther', true],
    ['allow_other = 0', 'allowOther', false],
    ['allow_other = auto', 'allowOther', undefined],
    ['umask = 077', 'umask', 0o77],
    ['umask = 0022', 'umask', 0o22],
    ['umask = 0', 'umask', 0],
    ['owner = rtorrent', 'owner', { uid: 1001, gid: 1002 }],
    ['owner = 1001', 'owner', { uid: 1001, gid: 1002 }],
    ['owner = rtorrent:media', 'owner', { uid: 1001, gid: 2000 }],
    ['owner = 5000:6000', 'owner', { uid: 5000, gid: 6000 }],
    ['db = /var/lib/at/', 'db', '/var/lib/at'],
    ['db = ~/at.db', 'db', '/home/u/at.db'],
    ['state_path = ../state', 'statePath', '/home/u/state'],
    ['DB = upper.db', 'db', '/home/u/at/upper.db'],
    ['link_type = virtual', 'notices', []],
  ];
  for (const [line, key, expected] of accepted) {
    it(`takes ${JSON.stringify(line)}`, () => assert.deepEqual(parse(general(line))[key], expected));
  }

  it('takes protect for one disk, and says what is no disk', () => {
    const written = `${general('protect = reflink\nprotect.disk2 = off\nprotect.disk9 = off')}\n[disks]\ndisk1 = /a\ndisk2 = /b\n`;
    const config = parse(written);
    assert.equal(config.protect, 'reflink');
    assert.deepEqual(config.protectOf, new Map([['/b', 'off']]));
    assert.match(config.notices.join(), /protect\.disk9 is unknown and unused/);
    assert.throws(() => parse(written.replace('disk2 = off', 'disk2 = on')), /protect\.disk2 = "on" is not valid/);
  });

  for (const type of ['soft', 'hard', 'ref', 'reflink']) {
    it(`takes link_type = ${type} with one notice`, () => {
      assert.deepEqual(parse(general(`link_type = ${type}`)).notices, [
        `${FILE}, line 3: link_type = ${type} now means virtual: the mount at store_path replaces trees of links`,
      ]);
    });
  }

  const PAIRS =
    "accepted: pairs of absolute paths, yours = the client's, as /store = /data/store; several separated by commas";
  const LIMIT = 'accepted: the most candidates and the most bytes for one file, as 32, 1 GiB; one of the two; or none';
  const BYTES = 'accepted: a number of bytes, as 64000000, 64 MB or 1 GiB';
  const MODES =
    'accepted: one or more of exact, unsplitable, normal, hash_name, hash_size, hash_slow, separated by commas';
  const MASK = 'accepted: an octal mask from 000 to 777, as 022';
  const OWNER = 'accepted: user or user:group, names or numbers';
  const PATH = 'accepted: a path, absolute or relative to the folder of this file';
  const COMMENT = '; a comment needs a line of its own';
  const GOES_ON = '; an indented line goes on with the value above it';
  // The line, the value as shown, and why. Each stands on line 3.
  const refused: readonly (readonly [string, string, string])[] = [
    ['add_limit_size = 64 apples', '"64 apples"', BYTES],
    ['add_limit_size = -1', '"-1"', BYTES],
    ['add_limit_size = 0.5', '"0.5"', BYTES],
    ['add_limit_size = 1e99', '"1e99"', BYTES],
    ['add_limit_size = 99999999 TiB', '"99999999 TiB"', BYTES],
    ['add_limit_size = 1 constructor', '"1 constructor"', BYTES],
    ['add_limit_size =', '""', BYTES],
    ['add_limit_size = 64 MB ; most', '"64 MB ; most"', BYTES + COMMENT],
    ['add_limit_percent = many', '"many"', 'accepted: a percentage from 0, as 1 or 0.5'],
    ['add_limit_percent = -1', '"-1"', 'accepted: a percentage from 0, as 1 or 0.5'],
    ['scan_mode = normal, unsplittable', '"normal, unsplittable"', `there is no scan mode unsplittable; ${MODES}`],
    ['scan_mode = ,', '","', MODES],
    ['hash_size_varying = -1', '"-1"', 'accepted: a percentage from 0, as 1 or 0.5'],
    ['hash_limit = many', '"many"', LIMIT],
    ['hash_limit = 0', '"0"', LIMIT],
    ['hash_limit = 3, 4', '"3, 4"', LIMIT],
    ['recover = maybe', '"maybe"', 'accepted: on, off'],
    ['on_loss = cry', '"cry"', 'accepted: repair, tell'],
    ['rescue_limit = some', '"some"', BYTES],
    ['protect = all', '"all"', 'accepted: off, reflink, hardlink'],
    ['protect_days = -1', '"-1"', 'accepted: a whole number of days from 0 to 36500, or forever'],
    ['path_map = /a', '"/a"', PAIRS],
    ['path_map = /a = b', '"/a = b"', PAIRS],
    ['path_map = /a = /b = /c', '"/a = /b = /c"', PAIRS],
    ['path_map = /a = /b, /a/ = /c', '"/a = /b, /a/ = /c"', PAIRS],
    ['driver = ntfs', '"ntfs"', 'accepted: auto, kernel, fuse-native'],
    ['link_type = sym', '"sym"', 'accepted: virtual, soft, hard, ref, reflink'],
    ['exact_target = both', '"both"', 'accepted: mount, original'],
    ['verify = all', '"all"', 'accepted: auto, none, probe, full'],
    ['verify = all\n  none', String.raw`"all\nnone"`, `accepted: auto, none, probe, full${GOES_ON}`],
    ['fast_resume = yes', '"yes"', 'accepted: verified, never, trust'],
    ['hold_sources = 5000', '"5000"', 'accepted: a whole number from 0 to 4096'],
    ['verify_reads = all', '"all"', 'accepted: suspect, first, off'],
    ['passthrough = on', '"on"', 'accepted: auto, safe, off'],
    ['hash_readers = 0', '"0"', 'accepted: a whole number from 1 to 64'],
    ['hash_readers = two', '"two"', 'accepted: a whole number from 1 to 64'],
    ['allow_other = maybe', '"maybe"', 'accepted: auto, yes, no (also on, off, true, false, 1, 0)'],
    ['umask = 9', '"9"', MASK],
    ['umask = 1777', '"1777"', MASK],
    ['owner = nobody', '"nobody"', `there is no user nobody in /etc/passwd; ${OWNER}`],
    [
      'owner = rtorrent:films',
      '"rtorrent:films"',
      'there is no group films in /etc/group; accepted: user:group, names or numbers',
    ],
    ['owner = 5000', '"5000"', 'user 5000 has no group in /etc/passwd; accepted: 5000:GROUP'],
    ['owner = a:b:c', '"a:b:c"', OWNER],
    ['owner = 4294967295:0', '"4294967295:0"', `there is no user 4294967295 in /etc/passwd; ${OWNER}`],
    ['db =', '""', PATH],
    ['db = a\n  b', String.raw`"a\nb"`, PATH + GOES_ON],
    ['db = "a b"', String.raw`"\"a b\""`, 'accepted: a path without quotes around it'],
    ['db = ~bob/db', '"~bob/db"', 'accepted: ~/… for your own home folder; others in full'],
    ['db = a\0b', String.raw`"a\u0000b"`, 'accepted: a path without NUL characters'],
    ['db = /store/db', '"/store/db"', 'db (/store/db) lies under store_path, where the mount would hide it'],
    ['state_path = /store', '"/store"', 'state_path (/store) lies under store_path, where the mount would hide it'],
    ['state_path = autotorrent.db', '"autotorrent.db"', 'it is the same folder as db; accepted: a folder of its own'],
  ];
  for (const [line, value, reason] of refused) {
    it(`refuses ${JSON.stringify(line)}`, () => {
      const key = /^\w+/.exec(line)?.[0] ?? '';
      assert.equal(
        errorOf(general(line)).message,
        `${FILE}, line 3: [general] ${key} = ${value} is not valid; ${reason}`,
      );
    });
  }

  it('names the first problem of several', () => {
    assert.match(errorOf(general('verify = x\numask = x')).message, /line 3: \[general\] verify/);
    assert.match(errorOf(general('umask = x\nverify = x')).message, /line 3: \[general\] umask/);
  });

  it('wants a store_path, and a good one', () => {
    const missing = errorOf('\n[general]\ndb = x\n');
    assert.equal(missing.message, `${FILE}, line 2: [general] has no store_path`);
    assert.equal(missing.hint, 'Add a line "store_path = …" below [general].');
    const at = (path: string): string => errorOf(`[general]\nstore_path = ${path}\n`).message;
    const start = (path: string): string => `${FILE}, line 2: [general] store_path = "${path}" is not valid; `;
    assert.equal(at('/'), `${start('/')}accepted: any folder but /`);
    assert.equal(
      at('.'),
      `${start('.')}db (/home/u/at/autotorrent.db) lies under store_path, where the mount would hide it`,
    );
    assert.equal(
      at('autotorrent.db/x'),
      `${start('autotorrent.db/x')}it lies in db (/home/u/at/autotorrent.db), which belongs to a database`,
    );
    // A name that only begins alike is another folder.
    assert.equal(parse('[general]\nstore_path = autotorrent.db2\n').storePath, '/home/u/at/autotorrent.db2');
  });

  it('wants [general]', () => {
    assert.equal(errorOf('[disks]\na=/b\n').message, `${FILE} has no section [general], where store_path belongs`);
  });

  it('gives each store_path a state of its own', () => {
    assert.equal(stateOf('/seeds/X'), stateOf('/seeds/X/'));
    assert.notEqual(stateOf('/seeds/X'), stateOf('/other/X'));
    assert.ok(
      Buffer.byteLength(
        stateOf(`/${'ü'.repeat(127)}`)
          .split('/')
          .at(-1) ?? '',
      ) <= 255,
    );
  });

  it("moves aside for the original's database, but never the state", () => {
    const config = parse(general(''), { indexFor: (db) => ({ path: `${db}.level`, shelve: `${db}.dat` }) });
    assert.equal(config.db, '/home/u/at/autotorrent.db.level');
    assert.equal(config.statePath, parse(general('')).statePath);
    assert.deepEqual(config.notices, [
      "/home/u/at/autotorrent.db.dat is the original autotorrent's database: it stays untouched, and the index is /home/u/at/autotorrent.db.level",
    ]);
  });

  it('notices what nobody knows, with the nearest name', () => {
    const text =
      '[General]\nx=1\n[general]\nstore_path=/s\nstorepath=/t\nscene_mode=true\nzzz=1\n[other]\n[client]\nclient=none\nurl=x\n';
    assert.deepEqual(parse(text).notices, [
      `${FILE}, line 1: section [General] is unknown and unused: did you mean [general]?`,
      `${FILE}, line 8: section [other] is unknown and unused: known are general, disks, client, client-NAME`,
      `${FILE}, line 5: [general] storepath is unknown and unused: did you mean store_path?`,
      `${FILE}, line 6: [general] scene_mode is unknown and unused: did you mean scan_mode?`,
      `${FILE}, line 7: [general] zzz is unknown and unused: known are db, store_path, state_path, ignore_files, settle, add_limit_size, add_limit_percent, scan_mode, link_type, exact_target, verify, hash_readers, hash_size_varying, hash_limit, driver, allow_other, owner, umask, show_links, path_map, verify_reads, passthrough, hold_sources, scrub, scrub_days, recover, on_loss, repair_limit, rescue_limit, rescue_total, protect, protect_days, fast_resume`,
      `${FILE}, line 11: [client] url is unknown and unused: known are client`,
    ]);
  });

  describe('[disks]', () => {
    it('takes any keys, in order, each folder once', () => {
      assert.deepEqual(parse(withDisks('b = /b/\nfilms: films\n1 = ~/x\nc = /b\nstore = /store')).disks, [
        '/b',
        '/home/u/at/films',
        '/home/u/x',
        '/store',
      ]);
    });
    it('does not take defaults for disks, but lets disks use them', () => {
      assert.deepEqual(parse(`[DEFAULT]\nbase=/mnt\n${withDisks('a=%(base)s/tv')}`).disks, ['/mnt/tv']);
    });
    it('refuses what is no path', () => {
      assert.equal(errorOf(withDisks('a =')).message, `${FILE}, line 5: [disks] a = "" is not valid; ${PATH}`);
    });
  });

  describe('[client]', () => {
    const clients: readonly (readonly [string, Config['client']])[] = [
      ['client = none', { client: 'none' }],
      ['client = rTorrent\nurl = scgi://127.0.0.1:5000', { client: 'rtorrent', url: 'scgi://127.0.0.1:5000' }],
      ['client = rtorrent\nurl = scgi://[::1]:5000/', { client: 'rtorrent', url: 'scgi://[::1]:5000/' }],
      [
        'client = rtorrent\nurl = scgi:///run/rt.sock\nlabel = a ; b',
        { client: 'rtorrent', url: 'scgi:///run/rt.sock', label: 'a ; b' },
      ],
      ['client = rtorrent\nurl = https://h/RPC2\nlabel =', { client: 'rtorrent', url: 'https://h/RPC2' }],
      [
        'client = transmission\nurl = http://127.0.0.1:9091/transmission/rpc',
        { client: 'transmission', url: 'http://127.0.0.1:9091/transmission/rpc' },
      ],
      [
        'client = transmission\nurl = http://me:p%40s%%25@h:9091/transmission/rpc',
        { client: 'transmission', url: 'http://h:9091/transmission/rpc', username: 'me', password: 'p@s%' },
      ],
      [
        'client = transmission\nurl = http://me:old@h/t\nusername = you\npassword = p#;%x\nlabel = l',
        { client: 'transmission', url: 'http://h/t', username: 'you', password: 'p#;%x', label: 'l' },
      ],
      [
        'client = deluge\nhost = 127.0.0.1:58846\nusername = localclient\npassword = pw\nlabel = x',
        {
          client: 'deluge',
          host: '127.0.0.1:58846',
          username: 'localclient',
          password: 'pw',
          label: 'x',
        },
      ],
      [
        'client = deluge\nurl = http://h:8112\npassword = pw',
        { client: 'deluge', url: 'http://h:8112', password: 'pw' },
      ],
      [
        'client = qbittorrent\nurl = http://admin:pw@h:8080\ncategory = films/new\ntags = a, b',
        {
          client: 'qbittorrent',
          url: 'http://h:8080/',
          username: 'admin',
          password: 'pw',
          category: 'films/new',
          tags: 'a, b',
        },
      ],
    ];
    for (const [lines, expected] of clients) {
      it(`takes ${JSON.stringify(lines)}`, () => {
        const { client, statePath } = parse(withClient(lines));
        const remembers = expected?.client === 'none' ? {} : { knownDaemons: `${statePath}/known_daemons` };
        assert.deepEqual(client, { ...expected, ...remembers });
      });
    }

    const RTORRENT = 'accepted: scgi://host:port, scgi:///path/to.socket or http(s)://host/RPC2';
    const TRANSMISSION = 'accepted: http(s)://host:port/transmission/rpc';
    const bad: readonly (readonly [string, string, string])[] = [
      ['client = rtorrent', 'scgi://127.0.0.1', RTORRENT],
      ['client = rtorrent', 'scgi://h:0', RTORRENT],
      ['client = rtorrent', 'scgi://h:70000', RTORRENT],
      ['client = rtorrent', 'scgi:///', RTORRENT],
      ['client = rtorrent', '127.0.0.1:5000', RTORRENT],
      ['client = rtorrent', 'ftp://h/', RTORRENT],
      ['client = rtorrent', 'http://', RTORRENT],
      ['client = transmission', 'scgi://h:1', TRANSMISSION],
      ['client = transmission', 'http://h:99999/', TRANSMISSION],
      ['client = transmission', '', TRANSMISSION],
    ];
    for (const [name, url, accepted] of bad) {
      it(`refuses ${name}, url = ${url}`, () => {
        assert.equal(
          errorOf(withClient(`${name}\nurl = ${url}`)).message,
          `${FILE}, line 5: [client] url = "${url}" is not valid; ${accepted}`,
        );
      });
    }

    it('never shows a password', () => {
      for (const url of [
        'http://me:se#cret@h/x',
        'http://me:sec/ret@h:y/',
        'ftp://me:se@cret@h',
        'http://me:secret@h x/',
      ]) {
        const { message } = errorOf(withClient(`client = transmission\nurl = ${url}`));
        assert.doesNotMatch(message, /se|cret|ret@/);
        assert.match(message, /line 5: \[client\] url = "\w+:\/\/\*\*\*@h/);
      }
      const { message } = errorOf(withClient('client = transmission\nurl = http://h/\npassword = secret\n  more'));
      assert.equal(
        message,
        `${FILE}, line 6: [client] password = (not shown) is not valid; accepted: text on one line; an indented line goes on with the value above it`,
      );
    });

    it('takes a Deluge by its daemon or by its web interface, and not by both', () => {
      const message = (lines: string): string => errorOf(withClient(`client = deluge\n${lines}`)).message;
      assert.equal(message('label = x'), `${FILE}, line 3: [client] has no host`);
      assert.match(
        message('host = h:1\nurl = http://h:8112'),
        /line 6: .*host names the daemon and url its web interface/,
      );
      assert.match(message('url = h:8112'), /accepted: http\(s\):\/\/host:port of the web interface/);
    });

    it('refuses others, and no client at all', () => {
      assert.equal(
        errorOf(withClient('client = vuze')).message,
        `${FILE}, line 4: [client] client = "vuze" is not valid; accepted: rtorrent, deluge, transmission, qbittorrent, none`,
      );
      assert.equal(errorOf(withClient('url = x')).message, `${FILE}, line 3: [client] has no client`);
      assert.equal(errorOf(withClient('client = rtorrent')).message, `${FILE}, line 3: [client] has no url`);
    });

    const several = `${withClient('client = none')}[client-a]\nclient = rtorrent\nurl = scgi:///a\n[client-b]\nclient = deluge\n`;
    it('takes [client] without a name, and the named one with it', () => {
      assert.deepEqual(parse(several).client, { client: 'none' });
      assert.deepEqual(parse(several, { client: 'default' }).client, { client: 'none' });
      const { client, statePath } = parse(several, { client: 'a' });
      assert.deepEqual(client, { client: 'rtorrent', url: 'scgi:///a', knownDaemons: `${statePath}/known_daemons` });
    });
    it('says which there are where a name is unknown', () => {
      const error = errorOf(several, { client: 'c' });
      assert.equal(error.message, `${FILE} has no section [client-c]: it has a, b`);
      assert.equal(error.hint, 'Without -l the section [client] is used.');
      assert.equal(
        errorOf(general(''), { client: 'default' }).message,
        `${FILE} has no section [client-default]: it names no client at all`,
      );
    });
  });
});
