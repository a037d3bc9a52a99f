/** The process of `piece-reader.ts`: answers its requests, and ends with its parent. */
import { createHash } from 'node:crypto';
import { close, constants, open, read } from 'node:fs';
import { promisify } from 'node:util';
import { errnoOf, messageOf } from '../../src/errors.ts';
import type { Pieces, ReaderReply, ReaderRequest } from './piece-reader.ts';

const [openAsync, readAsync, closeAsync] = [promisify(open), promisify(read), promisify(close)];

async function answer(request: ReaderRequest): Promise<ReaderReply> {
  try {
    if (request.do === 'open') {
      return { fd: await openAsync(request.path, constants.O_RDONLY | (request.cached ? 0 : constants.O_DIRECT)) };
    }
    if (request.do === 'close') {
      await closeAsync(request.fd);
      return {};
    }
    return { pieces: await piecesOf(request) };
  } catch (error) {
    return { error: errnoOf(error) ?? messageOf(error) };
  }
}

async function piecesOf(request: Extract<ReaderRequest, { do: 'pieces' }>): Promise<Pieces> {
  const { fds, lengths, pieceLength, hashes } = request;
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const wrong: number[] = [];
  const failed: Record<string, number> = {};
  const unread: number[] = [];
  let good = 0;
  await Promise.all(
    hashes.map(async (expected, piece) => {
      const begin = piece * pieceLength;
      const buffer = Buffer.alloc(Math.min(pieceLength, total - begin));
      try {
        let start = 0;
        for (const [i, length] of lengths.entries()) {
          const [from, to] = [Math.max(start, begin), Math.min(start + length, begin + buffer.length)];
          if (from < to) await readWhole(fds[i]!, buffer.subarray(from - begin, to - begin), from - start);
          start += length;
        }
        if (createHash('sha1').update(buffer).digest('hex') === expected) good++;
        else wrong.push(piece);
      } catch (error) {
        const code = errnoOf(error) ?? messageOf(error);
        failed[code] = (failed[code] ?? 0) + 1;
        unread.push(piece);
      }
    }),
  );
  const sorted = (pieces: readonly number[]): number[] => pieces.toSorted((a, b) => a - b);
  return { good, wrong: sorted(wrong), failed, unread: sorted(unread) };
}

async function readWhole(fd: number, buffer: Buffer, position: number): Promise<void> {
  for (let done = 0; done < buffer.length; ) {
    const { bytesRead } = await readAsync(fd, buffer, done, buffer.length - done, position + done);
    if (bytesRead === 0) throw new Error('it ends too early');
    done += bytesRead;
  }
}

process.on('message', ({ id, ...request }: ReaderRequest & { readonly id: number }) => {
  void answer(request).then((reply) => process.send?.({ id, ...reply }));
});
process.on('disconnect', () => process.exit(0));
