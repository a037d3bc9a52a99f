/** The payloads of the index process's frames. The first byte of an input says which kind it is. */
import assert from 'node:assert/strict';
import { ByteReader, ByteWriter, MalformedBytes } from '../../../src/bytes/byte-codec.ts';
import {
  decodeError,
  decodeLog,
  decodeProgress,
  decodeRequest,
  decodeResult,
  decodeText,
  encodeError,
  encodeLog,
  encodeProgress,
  encodeRequest,
  encodeResult,
  encodeText,
} from '../../../src/collection/process/wire/messages.ts';
import { METHODS, type Method } from '../../../src/collection/process/wire/questions.ts';
import { AutotorrentError } from '../../../src/errors.ts';
import type { FuzzTarget } from '../target.ts';

interface Codec<T> {
  readonly encode: (value: T) => Buffer;
  readonly decode: (payload: Buffer) => T;
  readonly example: T;
}

const file = {
  folder: 3,
  path: Buffer.from('/disk/a/b\xff'),
  name: Buffer.from('b\xff'),
  size: 2 ** 40,
  release: null,
};
const folder = { id: 3, path: Buffer.from('/disk/a') };
const tree = { root: folder, name: Buffer.from('a'), files: [{ file, relative: [Buffer.from('b\xff')] }] };
const ANSWERS = { files: [file, { ...file, release: 2 }], folders: [folder] };

/** One codec of several types: each is only ever given what its own `decode` made. */
const codec = <T>(encode: (value: T) => Buffer, decode: (payload: Buffer) => T, example: T): Codec<unknown> =>
  ({ encode, decode, example }) as Codec<unknown>;

const written = (write: (out: ByteWriter) => void): Buffer => {
  const out = new ByteWriter();
  write(out);
  return out.finish();
};

function codecsOf<Q, A>(method: Method<Q, A>, question: Q, answer: A): Codec<unknown>[] {
  return [
    codec<Q>(
      (value) => written((out) => method.writeQuestion(out, value)),
      (payload) => method.readQuestion(new ByteReader(payload)),
      question,
    ),
    codec<A>(
      (value) => written((out) => method.writeAnswer(out, value)),
      (payload) => method.readAnswer(new ByteReader(payload)),
      answer,
    ),
  ];
}

const CODECS: readonly Codec<unknown>[] = [
  codec(encodeText, decodeText, 'a build'),
  codec(
    encodeError,
    decodeError,
    new AutotorrentError('INDEX', 'message', { hint: 'hint', cause: new Error('cause') }),
  ),
  codec(encodeRequest, decodeRequest, {
    disks: [Buffer.from('/d')],
    own: [],
    paths: [Buffer.from('/d/x')],
    full: true,
    ignoreFiles: ['*.nfo'],
    racyMs: 5,
    settleMs: 60_000,
    givenUp: [Buffer.from('uuid:5'), Buffer.from('/d')],
  }),
  codec(encodeProgress, decodeProgress, { folders: 1, files: 2, bytes: 2 ** 40 }),
  codec(encodeResult, decodeResult, {
    folders: 1,
    files: 2,
    bytes: 3,
    releases: 4,
    reused: 5,
    skipped: new Map([['why', { count: 6, example: Buffer.from('/x') }]]),
    away: [{ path: Buffer.from('/disk/\xff'), files: 7 }],
  }),
  codec(({ level, message }) => encodeLog(level, message), decodeLog, { level: 'warn' as const, message: 'text' }),
  ...codecsOf(METHODS.byNameAndSize, { name: 'n\ud800', size: 5 }, ANSWERS.files),
  ...codecsOf(METHODS.byName, { name: 'n', min: 1, max: 2 }, ANSWERS.files),
  ...codecsOf(METHODS.byName, { name: 'n', min: 1, max: 2, limit: 0 }, ANSWERS.files),
  ...codecsOf(METHODS.bySize, { min: 1, max: 2, near: 1.5, limit: 9 }, ANSWERS.files),
  ...codecsOf(METHODS.archived, { size: 5, limit: 3, name: 'n' }, [{ archive: file, name: Buffer.from('m'), size: 7 }]),
  ...codecsOf(METHODS.releases, 'name', ANSWERS.folders),
  ...codecsOf(METHODS.byFolderName, Buffer.from('name'), ANSWERS.folders),
  ...codecsOf(METHODS.byInode, { dev: 1, ino: 2n ** 64n - 1n }, ANSWERS.files),
  ...codecsOf(METHODS.leftOut, { name: 'n', min: 1, max: 2, limit: 3 }, [
    { path: Buffer.from('/disk/\xff'), size: 0, code: 'ignored' },
    { path: Buffer.from('/disk/link'), size: null, code: 'link' },
  ]),
  ...codecsOf(METHODS.awayDisks, Buffer.from('/disk/\xff'), Buffer.from('/disk')),
  ...codecsOf(METHODS.awayDisks, Buffer.from('/disk/\xff'), null),
  ...codecsOf(METHODS.known, Buffer.from('/disk/\xff'), {
    disk: Buffer.from('/disk'),
    kind: 'left out',
    code: 'growing',
    size: 0,
    release: Buffer.from('/disk/r'),
    builtMs: 5.5,
  }),
  ...codecsOf(METHODS.known, Buffer.from('/x'), { disk: null, kind: 'nothing', builtMs: 0 }),
  ...codecsOf(METHODS.trees, 7, tree),
];

export const target: FuzzTarget = {
  seeds: () => CODECS.map(({ encode, example }, kind) => Buffer.concat([Buffer.of(kind), encode(example)])),
  run(input) {
    const chosen = CODECS[(input[0] ?? 0) % CODECS.length];
    assert.ok(chosen !== undefined);
    let value: unknown;
    try {
      value = chosen.decode(input.subarray(1));
    } catch (error) {
      if (error instanceof MalformedBytes) return;
      throw error;
    }
    const bytes = Buffer.from(chosen.encode(value));
    assert.deepEqual(chosen.encode(chosen.decode(bytes)), bytes);
  },
};
