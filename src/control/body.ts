/**
 * Receives the bodies of requests: the same process serves the mount meanwhile. No large buffers are joined, and no large text is
 * parsed at once. A body that does not come is not waited for.
 */
import type { IncomingMessage } from 'node:http';
import { AutotorrentError, messageOf } from '../errors.ts';

/** How long a body may take; milliseconds are counted only while the server waits for bytes. */
export interface BodyTimes {
  /** The longest silence. */
  readonly silence: number;
  /** All silences together, beside one more second for each MiB. */
  readonly all: number;
}

export const BODY_TIMES: BodyTimes = { silence: 30_000, all: 120_000 };

/** The deepest nesting of a JSON body. */
const MAX_DEPTH = 8;

/**
 * Gives the chunks of a body as they arrive. If it is shorter than announced, Node ends the request with an error; it reads no
 * further than that.
 * @throws AutotorrentError('USAGE') if it does not go on
 */
export async function* chunksOf(request: IncomingMessage, times: BodyTimes): AsyncGenerator<Buffer> {
  const chunks = (request as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let waited = 0;
  let received = 0;
  for (;;) {
    const began = performance.now();
    const most = Math.min(times.silence, times.all + received / 1024 - waited);
    const next = await within(chunks.next(), most);
    if (next.done === true) return;
    waited += performance.now() - began;
    received += next.value.length / 1024;
    yield next.value;
  }
}

async function within<T>(next: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const seconds = Math.max(0, ms) / 1000;
    const tell = (): void => reject(new AutotorrentError('USAGE', `the request stalled: no bytes for ${seconds} s`));
    timer = setTimeout(tell, Math.max(0, ms));
  });
  try {
    return await Promise.race([next, late]);
  } finally {
    clearTimeout(timer);
    next.catch(() => {});
  }
}

/**
 * Receives a body into one buffer of the announced length. Each chunk is copied as it arrives.
 * @throws AutotorrentError('USAGE') if no length is announced, or one of more than `limit` bytes
 */
async function bytesOf(request: IncomingMessage, limit: number, times: BodyTimes): Promise<Buffer> {
  const announced = request.headers['content-length'];
  if (announced === undefined) throw new AutotorrentError('USAGE', 'the request has no Content-Length');
  const length = Number(announced);
  if (!(length <= limit)) throw new AutotorrentError('USAGE', `the request has more than ${limit} bytes`);
  const body = Buffer.allocUnsafe(length);
  let received = 0;
  for await (const chunk of chunksOf(request, times)) received += chunk.copy(body, received);
  return body.subarray(0, received);
}

/** @throws AutotorrentError('USAGE') */
export async function jsonOf(request: IncomingMessage, limit: number, times: BodyTimes): Promise<unknown> {
  return parsed((await bytesOf(request, limit, times)).toString('utf8'));
}

/**
 * Parses a body of one JSON document per line, each as it arrives, and returns `meaning` of each.
 * @throws AutotorrentError('USAGE') for a line of more than `lineLimit` bytes, more than `limit` lines, or invalid JSON
 */
export async function linesOf<T>(
  request: IncomingMessage,
  { limit, lineLimit }: { readonly limit: number; readonly lineLimit: number },
  times: BodyTimes,
  meaning: (line: unknown) => T,
): Promise<T[]> {
  const values: T[] = [];
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let rest = '';
  for await (const chunk of chunksOf(request, times)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > lineLimit) throw new AutotorrentError('USAGE', `a line has more than ${lineLimit} bytes`);
    if (values.length + lines.length > limit) throw new AutotorrentError('USAGE', `more than ${limit} lines`);
    for (const line of lines) values.push(meaning(parsed(line)));
  }
  if (rest !== '') throw new AutotorrentError('USAGE', 'the last line is cut off');
  return values;
}

function parsed(text: string): unknown {
  refuseDeep(text);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AutotorrentError('USAGE', `the request is not JSON: ${messageOf(cause)}`, { cause });
  }
}

/** A megabyte of brackets would take a hundred times as much once it is parsed. */
function refuseDeep(text: string): void {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (quoted) {
      if (char === BACKSLASH) i++;
      else if (char === QUOTE) quoted = false;
    } else if (char === QUOTE) quoted = true;
    else if (char === 0x5b || char === 0x7b) {
      if (++depth > MAX_DEPTH) throw new AutotorrentError('USAGE', `the request is nested over ${MAX_DEPTH} deep`);
    } else if (char === 0x5d || char === 0x7d) depth--;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
