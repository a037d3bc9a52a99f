/** Frames of the index process's socket, in chunks of any size. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { MalformedBytes } from '../../../src/bytes/byte-codec.ts';
import { FRAME, FrameReader } from '../../../src/collection/process/wire/frames.ts';
import type { FuzzTarget } from '../target.ts';

const LIMIT = 16_384;

function frame(type: number, payload: string): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32LE(Buffer.byteLength(payload));
  header[4] = type;
  return Buffer.concat([header, Buffer.from(payload)]);
}

export const target: FuzzTarget = {
  seeds: () => [
    frame(FRAME.hello, 'build'),
    Buffer.concat([frame(FRAME.open, ''), frame(FRAME.ask, 'x'.repeat(300)), frame(FRAME.rebuild, 'y')]),
  ],
  tokens: [Buffer.from('0040000001', 'hex'), Buffer.from('0140000001', 'hex'), Buffer.from('ffffffff01', 'hex')],
  async run(input) {
    // The input itself says how it is cut, so that the same input takes the same way.
    const step = 1 + (input.length % 7) * 90;
    const chunks: Buffer[] = [];
    for (let at = 0; at < input.length; at += step) chunks.push(input.subarray(at, at + step));
    const socket = Readable.from(chunks, { objectMode: false }) as unknown as Socket;
    const reader = new FrameReader(socket, LIMIT);
    let bytes = 0;
    try {
      for (let next = await reader.next(); next !== undefined; next = await reader.next()) {
        assert.ok(next.payload.length <= LIMIT);
        bytes += 5 + next.payload.length;
      }
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
    }
    assert.ok(bytes <= input.length);
    socket.destroy();
  },
};
