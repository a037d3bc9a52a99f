import type { Fixture } from './fixture.ts';
import type { Operation } from './operation.ts';
import { Random } from './random.ts';

/** Gives the bytes that a write writes; none for other operations. */
export function payloadOf(operation: Operation, fixture: Fixture): Buffer | undefined {
  if (operation.do !== 'write' && operation.do !== 'mapWrite') return undefined;
  const { fill, length, position } = operation;
  if (fill.kind === 'random') return new Random(fill.seed).bytes(length);
  const bytes = Buffer.alloc(length);
  if (fill.kind === 'original') bytes.set(fixture.original(fill.file).subarray(position, position + length));
  return bytes;
}
