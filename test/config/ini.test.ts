import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseIni } from '../../src/config/ini.ts';
import { AutotorrentError } from '../../src/errors.ts';

/** What a text holds, as `section.key: value`. */
function read(text: string | Uint8Array): Record<string, string> {
  const found: Record<string, string> = {};
  for (const section of parseIni(text, 'f').values()) {
    for (const { key, value } of section.entries.values()) found[`${section.name}.${key}`] = value;
  }
  return found;
}

describe('parseIni', () => {
  // What ConfigParser of Python 3.11 answers, unless the name says otherwise.
  const cases: readonly (readonly [string, string, Record<string, string>])[] = [
    [
      'both separators, the first of them',
      '[a]\nv: p=q\nu = p:q\nz = = 4\n',
      { 'a.v': 'p=q', 'a.u': 'p:q', 'a.z': '= 4' },
    ],
    ['keys without regard to case', '[a]\nX Y = 1\nFOO=2\n', { 'a.x y': '1', 'a.foo': '2' }],
    ['section names with regard to case', '[A]\nx=1\n[a]\nx=2\n', { 'A.x': '1', 'a.x': '2' }],
    ['comment lines, indented too', '# c\n; c\n[a]\n  # c\nx = 1\n', { 'a.x': '1' }],
    [
      '# and ; in a value',
      '[a]\nx = a;b#c\ny = 1 # c\nz = 1 ; c\nw = ; only\n',
      { 'a.x': 'a;b#c', 'a.y': '1 # c', 'a.z': '1 ; c', 'a.w': '; only' },
    ],
    ['values of several lines', '[a]\nx = 1\n  2\n\n  3\n\ny = 4\n', { 'a.x': '1\n2\n\n3', 'a.y': '4' }],
    ['comments between such lines', '[a]\nx = 1\n# c\n  2\n  ; d\n  3\n', { 'a.x': '1\n2\n3' }],
    ['keys that are indented alike', '[a]\n  x = 1\n  y = 2\n', { 'a.x': '1', 'a.y': '2' }],
    ['an indented section', '  [a]\nx = 1\n', { 'a.x': '1' }],
    ['a value that begins on its second line (3.11 keeps the line feed)', '[a]\nx =\n  1\n', { 'a.x': '1' }],
    ['empty values', '[a]\nx=\ny =\n', { 'a.x': '', 'a.y': '' }],
    ['quotes as letters', '[a]\nx=\'q\'\ny=""\n', { 'a.x': "'q'", 'a.y': '""' }],
    ['%% as %', '[a]\nx=a%%b\n', { 'a.x': 'a%b' }],
    ['a bare % as itself (3.11 stops)', '[a]\nx=a%b%\ny=%(nothing)s\n', { 'a.x': 'a%b%', 'a.y': '%(nothing)s' }],
    ['the value of another key', '[a]\nBase=/mnt/%%1\nx=%(base)s/tv\n', { 'a.base': '/mnt/%1', 'a.x': '/mnt/%1/tv' }],
    ['a key that names itself (3.11 stops)', '[a]\nx=%(x)s\n', { 'a.x': '%(x)s' }],
    ['defaults', '[DEFAULT]\nz=1\nx=0\n[a]\nx=2\n', { 'a.z': '1', 'a.x': '2' }],
    ['a comment after a section (3.11 ignores any text there)', '[a] ; c\nx=1\n', { 'a.x': '1' }],
    ['a byte order mark (3.11 stops)', '\uFEFF[a]\nx=1\n', { 'a.x': '1' }],
    ['CRLF and CR', '[a]\r\nx=1\r\ny=2\rz=3', { 'a.x': '1', 'a.y': '2', 'a.z': '3' }],
    ['no text at all', '', {}],
    [
      "keys and sections named as JavaScript's own",
      '[__proto__]\n__proto__=1\nconstructor=2\n',
      { '__proto__.__proto__': '1', '__proto__.constructor': '2' },
    ],
  ];
  for (const [name, text, expected] of cases) {
    it(`reads ${name}`, () => assert.deepEqual(read(text), expected));
    it(`reads ${name}, from bytes`, () => assert.deepEqual(read(Buffer.from(text)), expected));
  }

  it('ends where keys lead to each other in a circle, and does not swell', () => {
    const found = read('[a]\nx=%(y)s%(y)s\ny=%(x)s%(x)s\n');
    assert.ok((found['a.x'] ?? '').length < 100_000);
  });

  it('knows the line and the section of each key', () => {
    const section = parseIni('[DEFAULT]\nz=1\n\n[a]\nx=1\n  2\ny=3\n', 'f').get('a');
    assert.equal(section?.line, 4);
    assert.deepEqual(section?.entries.get('y'), { key: 'y', value: '3', line: 7, section: 'a' });
    assert.deepEqual(section?.entries.get('z'), { key: 'z', value: '1', line: 2, section: 'DEFAULT' });
    assert.equal(section?.own.has('z'), false);
  });

  it('takes bytes that are not UTF-8 in comments', () => {
    assert.deepEqual(read(Buffer.from('# caf\xe9\n[a]\nx = 1\n', 'latin1')), { 'a.x': '1' });
  });

  const refused: readonly (readonly [string, string | Buffer, string])[] = [
    ['text before the first section', '\nx = 1\n[a]\n', '/c.conf, line 2 comes before the first section: x…'],
    [
      'a password before the first section, unseen',
      'password = abc\n',
      '/c.conf, line 1 comes before the first section: password…',
    ],
    ['a line that is no key', '[a]\nx = 1\nyes\n', '/c.conf, line 3 in [a] is no "key = value": yes'],
    ['a key without a name', '[a]\n= 1\n', '/c.conf, line 2 in [a] is no "key = value": …'],
    ['a key twice', '[a]\nx=1\ny=1\nX=2\n', '/c.conf, line 4 in [a] sets x again: line 2 sets it already'],
    ['a section twice', '[a]\n[b]\n[a]\n', '/c.conf, line 3 begins [a] again: it is on line 1 already'],
    ['a section that does not end', '[a\nx=1\n', '/c.conf, line 1 is no section: [a'],
    ['text after a section', '[a] x=1\n', '/c.conf, line 1 is no section: [a]…'],
    [
      'keys that swell by each other',
      `[a]\n${Array.from({ length: 10 }, (_, i) => `k${i}=${`%(k${i + 1})s`.repeat(10)}\n`).join('')}k10=1\n`,
      '/c.conf, line 2 makes k0 longer than 1000000 characters by its %(key)s',
    ],
    ['a section without a name', '[]\n', '/c.conf, line 1 is no section: []'],
    [
      'bytes that are not UTF-8',
      Buffer.from('[a]\nx = caf\xe9\n', 'latin1'),
      '/c.conf, line 2 holds bytes that are not UTF-8',
    ],
  ];
  for (const [name, text, message] of refused) {
    it(`refuses ${name}`, () => {
      assert.throws(
        () => parseIni(text, '/c.conf'),
        (error) => {
          assert.ok(error instanceof AutotorrentError);
          assert.equal(error.code, 'CONFIG');
          assert.equal(error.message, message);
          return true;
        },
      );
    });
  }
});
