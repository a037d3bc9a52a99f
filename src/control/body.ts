/**
 * Receives the bodies of requests, without joining large buffers or parsing a large text at once: the same process
 * serves the mount meanwhile.
 */
import type { IncomingMessage } from 'node:http';
import { AutotorrentError, messageOf } from '../errors.ts';

/**
 * Receives a body into one buffer of the announced length. Each chunk is copied as it arrives.
 * @throws AutotorrentError('USAGE') if no length is announced, or one of more than `limit` bytes
 */
export async function bytesOf(request: IncomingMessage, limit: number): Promise<Buffer> {
  const announced = request.headers['content-length'];
  if (announced === undefined) throw new AutotorrentError('USAGE', 'the request has no Content-Length');
  const length = Number(announced);
  if (!(length <= limit)) throw new AutotorrentError('USAGE', `the request has more than ${limit} bytes`);
  const body = Buffer.allocUnsafe(length);
  let received = 0;
  // If the body is shorter than announced, Node ends the request with an error; it reads no further than that.
  for await (const chunk of request as AsyncIterable<Buffer>) received += chunk.copy(body, received);
  return body.subarray(0, received);
}

/** @throws AutotorrentError('USAGE') */
export async function jsonOf(request: IncomingMessage, limit: number): Promise<unknown> {
  return parsed((await bytesOf(request, limit)).toString('utf8'));
}

/**
 * Parses a body of one JSON document per line, each as it arrives, and returns `meaning` of each.
 * @throws AutotorrentError('USAGE') for a line of more than `lineLimit` bytes, more than `limit` lines, or invalid JSON
 */
export async function linesOf<T>(
  request: IncomingMessage,
  { limit, lineLimit }: { readonly limit: number; readonly lineLimit: number },
  meaning: (line: unknown) => T,
): Promise<T[]> {
  const values: T[] = [];
  let rest = '';
  request.setEncoding('utf8');
  for await (const chunk of request as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > lineLimit) throw new AutotorrentError('USAGE', `a line has more than ${lineLimit} bytes`);
    if (values.length + lines.length > limit) throw new AutotorrentError('USAGE', `more than ${limit} lines`);
    for (const line of lines) values.push(meaning(parsed(line)));
  }
  if (rest !== '') throw new AutotorrentError('USAGE', 'the last line is cut off');
  return values;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AutotorrentError('USAGE', `the request is not JSON: ${messageOf(cause)}`, { cause });
  }
}
