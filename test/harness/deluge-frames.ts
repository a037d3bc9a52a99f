/** Deluge's protocol, as a daemon of a test speaks it. */
import { deflateSync, inflateSync } from 'node:zlib';
import { derencodeSteps } from '../../src/clients/wire/derencode.ts';
import { atOnce } from '../../src/clients/wire/slices.ts';

export function delugeFrame(message: Buffer): Buffer {
  const body = deflateSync(message);
  const header = Buffer.alloc(5, 1);
  header.writeUInt32BE(body.length, 1);
  return Buffer.concat([header, body]);
}

/** The calls in a request: id, method, arguments. */
export function delugeCalls(frame: Buffer): (readonly [id: number, method: string, args: readonly unknown[]])[] {
  const message = inflateSync(frame.subarray(5));
  const calls: unknown = atOnce(derencodeSteps(message, { bytes: 1e6, values: 1e5, lists: 1e5 }));
  return calls as (readonly [number, string, readonly unknown[]])[];
}
