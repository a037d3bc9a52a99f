/** Sends plans to a control socket as no client of ours does: with wrong lengths, too slowly, only a part. */
import { type ClientRequest, request } from 'node:http';
import { ByteWriter } from '../../src/bytes/byte-codec.ts';
import { type PlanHeader, VERSION } from '../../src/plan/format.ts';
import { bencoded } from './make-torrent.ts';

export interface RawReply {
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly message: string;
}

export interface RawPlan {
  readonly call: ClientRequest;
  /** Rejects if the server cuts the connection without an answer. */
  readonly reply: Promise<RawReply>;
}

/** Begins to send a plan; the caller writes it. Without `length` it is chunked. */
export function beginPlan(socketPath: string, length?: number, path = '/v1/entries'): RawPlan {
  const headers = length === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': length };
  const call = request({ socketPath, method: path.endsWith('names') ? 'PUT' : 'POST', path, headers, agent: false });
  const reply = new Promise<RawReply>((resolve, reject) => {
    call.once('response', (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      answer.once('end', () => {
        const { error } = (text === '' ? {} : JSON.parse(text)) as { error?: { code: string; message: string } };
        resolve({ status: answer.statusCode, code: error?.code, message: error?.message ?? text });
        call.destroy();
      });
      answer.once('error', reject);
    });
    call.on('error', reject);
  });
  reply.catch(() => {});
  return { call, reply };
}

/** A .torrent that is as long as wanted, whose list of files has `files` of them. */
export function fakeMetainfo(files: number, bytes = 0): Buffer {
  const list = Array.from({ length: files }, (_, i) => ({ length: 1, path: [`${i}`] }));
  return bencoded({ info: { files: list, name: 'T', 'piece length': 16_384, pieces: Buffer.alloc(bytes) } });
}

/** The beginning of an encoded plan, which says what the caller wants: nothing of it needs to be true. */
export function planBeginning(
  header: Partial<PlanHeader> & { readonly metainfo: Buffer },
  metainfoLength?: number,
): Buffer {
  const out = new ByteWriter();
  out.raw(Buffer.from('ATPLAN'));
  out.integer(VERSION);
  out.text(header.name ?? 'T');
  out.raw(Buffer.from(header.infoHash ?? 'ab'.repeat(20), 'hex'));
  out.bytes(Buffer.alloc(0));
  out.integer(metainfoLength ?? header.metainfo.length);
  out.raw(header.metainfo);
  const pieces = header.pieceCount ?? 0;
  out.integer(pieces);
  out.integer(header.pieceLength ?? 16_384);
  out.integer(0);
  out.bytes(header.verified ?? Buffer.alloc(Math.ceil(pieces / 8)));
  out.integer(0);
  out.integer(header.totalLength ?? 0);
  out.integer(header.missingBytes ?? 0);
  out.integer(header.sourceCount ?? 0);
  out.integer(header.fileCount ?? 0);
  return Buffer.from(out.finish());
}
