/** The types of values in rTorrent's replies, checked: a reply is hostile input. */
import { type Endpoint, failure } from '../wire/exchange.ts';

interface Checked {
  readonly endpoint: Endpoint;
}

/** An `<i8>` arrives as a string, an `<int>` as a number. */
export function integer({ endpoint }: Checked, value: unknown): number {
  const number = typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) {
    throw failure(endpoint, 'answered with something else than the number it was asked for');
  }
  return number;
}

export function text({ endpoint }: Checked, value: unknown): string {
  if (typeof value !== 'string') throw failure(endpoint, 'answered with something else than the text it was asked for');
  return value;
}

export function listOf({ endpoint }: Checked, value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw failure(endpoint, 'answered with something else than the list it was asked for');
  return value as readonly unknown[];
}
