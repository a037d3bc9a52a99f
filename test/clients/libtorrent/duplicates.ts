/** Paths of files, each list with what libtorrent 2.0.8 makes of it. */
export const DUPLICATES: readonly (readonly [paths: readonly string[], used: readonly string[]])[] = [
  [
    ['readme.txt', 'README.txt', 'Readme.TXT'],
    ['readme.txt', 'README.1.txt', 'Readme.2.TXT'],
  ],
  [
    ['readme.txt', 'README.txt', 'readme.1.txt'],
    ['readme.txt', 'README.1.txt', 'readme.1.1.txt'],
  ],
  [
    ['readme', 'README', '.hid', '.HID', 'a.', 'A.'],
    ['readme', 'README.1', '.hid', '.1.HID', 'a.', 'A.1.'],
  ],
  [
    ['A/x', 'a/X', 'a/y'],
    ['A/x', 'a/X.1', 'a/y'],
  ],
  [
    ['A/x', 'a'],
    ['A/x', 'a.1'],
  ],
  [
    ['a', 'A/x'],
    ['a.1', 'A/x'],
  ],
  [
    ['B', 'b.1', 'b/c/d', 'B.2'],
    ['B.1', 'b.1.1', 'b/c/d', 'B.2'],
  ],
  [
    ['x/y.d/a', 'X/Y.D/A', 'x/y.d/a.b', 'X/y.D/A.B'],
    ['x/y.d/a', 'X/Y.D/A.1', 'x/y.d/a.b', 'X/y.D/A.1.B'],
  ],
  [
    ['\u00e4', '\u00c4', 'e\u0301', '\u00e9'],
    ['\u00e4', '\u00c4', 'e\u0301', '\u00e9'],
  ],
];
