/** JSON from clients and from their configuration files: hostile input. */
import { type Endpoint, type Reply, unreadable, wrongFormat } from './exchange.ts';
import { jsonSteps } from './json-steps.ts';
import { atOnce, inSlices } from './slices.ts';

/** Of a configuration file: far more than any client's has. */
const SETTINGS = { bytes: 1024 * 1024, values: 20_000, lists: 2000 };

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value of a reply that has to begin with one of `starts`. @throws AutotorrentError('CLIENT') for what is no JSON */
export async function jsonIn(endpoint: Endpoint, reply: Reply, starts = '{'): Promise<unknown> {
  const { body, allowed, deadline } = reply;
  try {
    return await inSlices(jsonSteps(body, allowed), deadline);
  } catch (cause) {
    const [start = ''] = body.toString('latin1', 0, 1);
    if (cause instanceof SyntaxError && (start === '' || !starts.includes(start))) {
      throw wrongFormat(endpoint, body, 'JSON');
    }
    throw unreadable(endpoint, 'JSON that is broken or cut off', cause);
  }
}

/** @throws Error where `text` is no JSON object, or one that no client's settings are */
export function objectIn(text: string): Record<string, unknown> {
  const value = atOnce(jsonSteps(Buffer.from(text), SETTINGS));
  if (!isRecord(value)) throw new SyntaxError('it holds no JSON object');
  return value;
}

/** The port under `key`; `otherwise` where there is none that could be one. */
export function portIn(settings: Record<string, unknown>, key: string, otherwise: number): number {
  const value = settings[key];
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536 ? value : otherwise;
}
