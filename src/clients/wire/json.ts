/** JSON from clients: hostile input. */
import { type Endpoint, failure, wrongFormat } from './exchange.ts';

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value of a body that is to begin with one of `starts`. @throws AutotorrentError('CLIENT') for what is no JSON */
export function jsonIn(endpoint: Endpoint, body: Buffer, starts = '{'): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (cause) {
    const [start = ''] = body.toString('latin1', 0, 1);
    if (start === '' || !starts.includes(start)) throw wrongFormat(endpoint, body, 'JSON');
    throw failure(endpoint, 'answered with JSON that is broken or cut off', undefined, cause);
  }
}
