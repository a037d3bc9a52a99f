/** The payloads of frames, but for questions and answers (`questions.ts`). */
import { ByteReader, ByteWriter } from '../../../bytes/byte-codec.ts';
import { AutotorrentError, type ErrorCode, messageOf } from '../../../errors.ts';
import type { LogLevel } from '../../../logger.ts';
import type { RebuildProgress, RebuildRequest, RebuildResult } from '../../writer.ts';

/** Encodes one text: a build, or an index's version. */
export function encodeText(text: string): Buffer {
  const out = new ByteWriter();
  out.text(text);
  return out.finish();
}

export function decodeText(payload: Buffer): string {
  return new ByteReader(payload).text('a text');
}

/** Encodes an error with all that a user sees of it. */
export function encodeError(error: unknown): Buffer {
  const known = error instanceof AutotorrentError ? error : undefined;
  const out = new ByteWriter();
  out.text(known?.code ?? 'INDEX');
  out.text(known === undefined ? `the index process failed: ${messageOf(error)}` : known.message);
  out.text(known?.hint ?? '');
  out.text(known?.cause === undefined ? '' : messageOf(known.cause));
  return out.finish();
}

export function decodeError(payload: Buffer): AutotorrentError {
  const from = new ByteReader(payload);
  const code = from.text('a code') as ErrorCode;
  const [message, hint, cause] = [from.text('a message'), from.text('a hint'), from.text('a cause')];
  return new AutotorrentError(code, message, {
    ...(hint === '' ? {} : { hint }),
    ...(cause === '' ? {} : { cause: new Error(cause) }),
  });
}

export function encodeRequest(request: RebuildRequest): Buffer {
  const { disks, paths, full, ignoreFiles, own, racyMs, settleMs = 0, givenUp } = request;
  const out = new ByteWriter();
  out.integer((full === true ? FULL : 0) | (paths === undefined ? 0 : PATHS) | (racyMs === undefined ? 0 : RACY));
  if (racyMs !== undefined) out.double(racyMs);
  out.double(settleMs);
  for (const list of [disks, own ?? [], paths ?? [], givenUp ?? []]) {
    out.integer(list.length);
    for (const path of list) out.bytes(Buffer.from(path));
  }
  out.integer(ignoreFiles?.length ?? 0);
  for (const pattern of ignoreFiles ?? []) out.text(pattern);
  return out.finish();
}

const FULL = 1;
const PATHS = 2;
const RACY = 4;

export function decodeRequest(payload: Buffer): RebuildRequest {
  const from = new ByteReader(payload);
  const flags = from.integer('flags', FULL | PATHS | RACY);
  const racyMs = (flags & RACY) === 0 ? undefined : from.double('a time');
  const settleMs = from.double('a time');
  const list = <T>(what: string, read: () => T): T[] => Array.from({ length: from.count(what, 1) }, read);
  const path = (): Buffer => from.bytes('a path');
  const [disks, own, paths] = [list('disks', path), list('own folders', path), list('paths', path)];
  const givenUp = list('disks', path);
  return {
    disks,
    own,
    full: (flags & FULL) !== 0,
    ignoreFiles: list('patterns', () => from.text('a pattern')),
    ...((flags & PATHS) === 0 ? {} : { paths }),
    settleMs,
    ...(givenUp.length === 0 ? {} : { givenUp }),
    ...(racyMs === undefined ? {} : { racyMs }),
  };
}

export function encodeProgress({ folders, files, bytes }: RebuildProgress): Buffer {
  const out = new ByteWriter();
  for (const count of [folders, files, bytes]) out.integer(count);
  return out.finish();
}

export function decodeProgress(payload: Buffer): RebuildProgress {
  return readProgress(new ByteReader(payload));
}

function readProgress(from: ByteReader): RebuildProgress {
  return { folders: from.integer('folders'), files: from.integer('files'), bytes: from.integer('bytes') };
}

export function encodeResult(result: RebuildResult): Buffer {
  const out = new ByteWriter();
  out.raw(encodeProgress(result));
  for (const count of [result.releases, result.reused, result.skipped.size]) out.integer(count);
  for (const [reason, { count, example }] of result.skipped) {
    out.text(reason);
    out.integer(count);
    out.bytes(example);
  }
  out.integer(result.away.length);
  for (const { path, files } of result.away) {
    out.bytes(path);
    out.integer(files);
  }
  return out.finish();
}

export function decodeResult(payload: Buffer): RebuildResult {
  const from = new ByteReader(payload);
  const counts = readProgress(from);
  const [releases, reused] = [from.integer('releases'), from.integer('reused')];
  const skipped = new Map<string, { count: number; example: Buffer }>();
  for (let left = from.count('reasons', 3); left > 0; left--) {
    skipped.set(from.text('a reason'), { count: from.integer('a count'), example: from.bytes('a path') });
  }
  const away = Array.from({ length: from.count('disks', 2) }, () => ({
    path: from.bytes('a path'),
    files: from.integer('files'),
  }));
  return { ...counts, releases, reused, skipped, away };
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

export function encodeLog(level: LogLevel, message: string): Buffer {
  const out = new ByteWriter();
  out.integer(LEVELS.indexOf(level));
  out.text(message);
  return out.finish();
}

export function decodeLog(payload: Buffer): { readonly level: LogLevel; readonly message: string } {
  const from = new ByteReader(payload);
  const level = LEVELS[from.integer('a level', LEVELS.length - 1)] ?? 'info';
  return { level, message: from.text('a message') };
}
