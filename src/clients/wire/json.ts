/** JSON from clients and from their configuration files: hostile input. */
import { type Endpoint, failure, wrongFormat } from './exchange.ts';

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value of a body that has to begin with one of `starts`. @throws AutotorrentError('CLIENT') for what is no JSON */
export function jsonIn(endpoint: Endpoint, body: Buffer, starts = '{'): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (cause) {
    const [start = ''] = body.toString('latin1', 0, 1);
    if (start === '' || !starts.includes(start)) throw wrongFormat(endpoint, body, 'JSON');
    throw failure(endpoint, 'answered with JSON that is broken or cut off', undefined, cause);
  }
}

/** @throws SyntaxError where `text` is no JSON object */
export function objectIn(text: string): Record<string, unknown> {
  const value: unknown = JSON.parse(text);
  if (!isRecord(value)) throw new SyntaxError('it holds no JSON object');
  return value;
}

/** The port under `key`; `otherwise` where there is none that could be one. */
export function portIn(settings: Record<string, unknown>, key: string, otherwise: number): number {
  const value = settings[key];
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536 ? value : otherwise;
}
