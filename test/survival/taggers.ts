/**
 * Programs that people tag their files with, on files as real encoders and muxers make them: what each command line does to the file
 * (`taggers.test.ts` finds it out), so that tests of what becomes of torrents know what they meet.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { randomBytesOf } from './films.ts';

export interface Tagging {
  readonly name: string;
  /** The extension of the file. */
  readonly kind: 'flac' | 'mp3' | 'mp4' | 'mkv';
  /** Makes the file; `seed` makes its bytes unlike all others. */
  readonly make: (path: string, seed: string) => void;
  readonly command: (path: string) => readonly string[];
  /** `rewritten`: the same inode, opened for writing. `replaced`: a new file is renamed over it, or takes its deleted name. */
  readonly does: 'rewritten' | 'replaced';
  /** A program that replaces a file may have opened it for writing before. */
  readonly opens?: true;
  /** `npm test` tags these alone: files that a client has open, or that were closed a while before. */
  readonly short?: 'open' | 'closed';
}

const RAW = ['--endian=little', '--sign=signed', '--channels=2', '--bps=16', '--sample-rate=44100'];
const NOISE_BYTES = 300_000;
/** lame makes a tenth of it. */
const MP3_NOISE_BYTES = 800_000;
const LONG_TITLE = 'a long title '.repeat(300);

function run([command = '', ...args]: readonly string[], input?: Buffer): void {
  execFileSync(command, args, { input, stdio: ['pipe', 'ignore', 'ignore'] });
}

/** `padding`: bytes that the encoder leaves for tags. */
function flac(padding: number): Tagging['make'] {
  const space = padding === 0 ? '--no-padding' : `--padding=${padding}`;
  return (path, seed) => run(['flac', '-s', '-f', '--force-raw-format', ...RAW, space, '-', '-o', path], noise(seed));
}

const mp3: Tagging['make'] = (path, seed) =>
  run(['lame', '--quiet', '-r', '-s', '44.1', '-', path], randomBytesOf(seed, MP3_NOISE_BYTES));

const mkv: Tagging['make'] = (path, seed) => {
  mp3(`${path}.mp3`, seed);
  run(['mkvmerge', '-q', '-o', path, `${path}.mp3`]);
  run(['rm', `${path}.mp3`]);
};

/** A file of ffmpeg's, with more data: no small package has an encoder. */
function mp4(index: 'in front' | 'behind'): Tagging['make'] {
  return (path, seed) => {
    const bytes = readFileSync(resolve(`test/fixtures/media/moov-${index.replace(' ', '-')}.mp4`));
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at)) {
      const box = Buffer.from(bytes.subarray(at, at + bytes.readUInt32BE(at)));
      parts.push(box);
      if (box.toString('latin1', 4, 8) !== 'mdat') continue;
      parts.push(noise(seed));
      box.writeUInt32BE(box.length + NOISE_BYTES);
    }
    writeFileSync(path, Buffer.concat(parts));
  };
}

function noise(seed: string): Buffer {
  return randomBytesOf(seed, NOISE_BYTES);
}

/** Makes a file that the program has tagged before. */
function tagged(make: Tagging['make'], command: Tagging['command']): Tagging['make'] {
  return (path, seed) => {
    make(path, seed);
    run(command(path));
  };
}

const metaflac =
  (...args: readonly string[]): Tagging['command'] =>
  (path) => ['metaflac', ...args, path];
const eyeD3 =
  (title: string): Tagging['command'] =>
  (path) => ['eyeD3', '-Q', '-t', title, path];
const id3v2 =
  (...args: readonly string[]): Tagging['command'] =>
  (path) => ['id3v2', ...args, path];
const parsley =
  (title: string): Tagging['command'] =>
  (path) => ['AtomicParsley', path, '--title', title, '--overWrite'];
const mkvpropedit =
  (title: string): Tagging['command'] =>
  (path) => ['mkvpropedit', '-q', path, '--edit', 'info', '--set', `title=${title}`];

/** Tags a file as a person would. @throws Error if the program fails */
export function tag({ command }: Tagging, path: string): void {
  run(command(path));
}

export const TAGGINGS: readonly Tagging[] = [
  {
    name: 'metaflac, within the padding',
    kind: 'flac',
    make: flac(8192),
    command: metaflac('--set-tag=TITLE=One'),
    does: 'rewritten',
    short: 'open',
  },
  {
    name: 'metaflac, without padding',
    kind: 'flac',
    make: flac(0),
    command: metaflac('--set-tag=TITLE=One'),
    does: 'replaced',
    short: 'closed',
  },
  {
    name: 'metaflac, all removed',
    kind: 'flac',
    make: flac(8192),
    command: metaflac('--remove-all'),
    does: 'rewritten',
  },
  {
    name: 'metaflac, beside the padding',
    kind: 'flac',
    make: flac(8192),
    command: metaflac('--dont-use-padding', '--set-tag=TITLE=One'),
    does: 'replaced',
  },
  {
    name: 'eyeD3, the first tag: all that follows moves',
    kind: 'mp3',
    make: mp3,
    command: eyeD3('One'),
    does: 'rewritten',
    short: 'open',
  },
  {
    name: 'eyeD3, within the padding',
    kind: 'mp3',
    make: tagged(mp3, eyeD3('One')),
    command: eyeD3('Two'),
    does: 'rewritten',
  },
  {
    name: 'eyeD3, more than the padding',
    kind: 'mp3',
    make: tagged(mp3, eyeD3('One')),
    command: eyeD3(LONG_TITLE),
    does: 'rewritten',
  },
  {
    name: 'id3v2, the first tag: all that follows moves',
    kind: 'mp3',
    make: mp3,
    command: id3v2('-t', 'One'),
    does: 'replaced',
    opens: true,
    short: 'closed',
  },
  {
    name: 'id3v2, within the padding',
    kind: 'mp3',
    make: tagged(mp3, id3v2('-t', 'One')),
    command: id3v2('-t', 'Two'),
    does: 'rewritten',
  },
  {
    name: 'id3v2, an ID3v1 tag appended',
    kind: 'mp3',
    make: mp3,
    command: id3v2('-1', '-t', 'One'),
    does: 'rewritten',
    short: 'closed',
  },
  {
    name: 'AtomicParsley, the index in front: the data moves',
    kind: 'mp4',
    make: mp4('in front'),
    command: parsley('One'),
    does: 'replaced',
    short: 'open',
  },
  {
    name: 'AtomicParsley, within the padding',
    kind: 'mp4',
    make: tagged(mp4('in front'), parsley('One')),
    command: parsley('Two'),
    does: 'rewritten',
    short: 'closed',
  },
  {
    name: 'AtomicParsley, the index behind the data',
    kind: 'mp4',
    make: mp4('behind'),
    command: parsley('One'),
    does: 'replaced',
  },
  {
    name: 'mkvpropedit, within the padding',
    kind: 'mkv',
    make: mkv,
    command: mkvpropedit('Other'),
    does: 'rewritten',
    short: 'open',
  },
  {
    name: 'mkvpropedit, more than the padding',
    kind: 'mkv',
    make: mkv,
    command: mkvpropedit(LONG_TITLE),
    does: 'rewritten',
  },
];
