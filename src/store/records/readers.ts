/** The record of who may read a source (`source/readers.ts`): one integer. */
import type { Readers } from '../../source/readers.ts';
import { Reader, Writer } from './record.ts';

const NOBODY = 0;
const EVERYONE = 1;
/** A group's id is shifted by this much. */
const GROUPS = 2;

function numberOf(readers: Readers): number {
  if (readers === 'nobody') return NOBODY;
  return readers === 'everyone' ? EVERYONE : readers.group + GROUPS;
}

export function sameReaders(one: Readers, other: Readers): boolean {
  return numberOf(one) === numberOf(other);
}

export function encodeReaders(readers: Readers): Buffer {
  return new Writer().integer(numberOf(readers)).finish();
}

export function decodeReaders(bytes: Buffer): Readers {
  const number = new Reader(bytes).integer();
  if (number === NOBODY) return 'nobody';
  return number === EVERYONE ? 'everyone' : { group: number - GROUPS };
}
