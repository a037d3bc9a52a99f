/** Makes v1 torrents (BEP 3), also ones that no program would make: names are bytes. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

/** The values that bencoding has. */
export type Bencodable = number | string | Buffer | readonly Bencodable[] | { readonly [key: string]: Bencodable };

export function bencoded(value: Bencodable): Buffer {
  if (typeof value === 'number') return Buffer.from(`i${value}e`);
  if (typeof value === 'string') return bencoded(Buffer.from(value));
  if (Buffer.isBuffer(value)) return Buffer.concat([Buffer.from(`${value.length}:`), value]);
  if (Array.isArray(value)) return Buffer.concat([Buffer.from('l'), ...value.map(bencoded), Buffer.from('e')]);
  const pairs = Object.entries(value).toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return Buffer.concat([Buffer.from('d'), ...pairs.flatMap(([k, v]) => [bencoded(k), bencoded(v)]), Buffer.from('e')]);
}

export interface TorrentContent {
  /** Components below the torrent's name. */
  readonly path: readonly (string | Buffer)[];
  readonly data: Buffer;
  /** Further keys of the file's dictionary: `path.utf-8`, `attr`. */
  readonly extra?: Readonly<Record<string, Bencodable>>;
}

export interface TorrentOptions {
  readonly name: string | Buffer;
  /** The files of a folder, or the bytes of a single file. */
  readonly content: readonly TorrentContent[] | Buffer;
  /** Bytes. Default: 16 KiB. */
  readonly pieceLength?: number;
  readonly announce?: string;
  readonly private?: boolean;
  /** Further keys of the info dictionary. */
  readonly info?: Readonly<Record<string, Bencodable>>;
}

export interface MadeTorrent {
  readonly raw: Buffer;
  /** 40 hex digits. */
  readonly infoHash: string;
}

export function makeTorrent(options: TorrentOptions): MadeTorrent {
  const { name, content, pieceLength = 16_384, announce } = options;
  const data = Buffer.isBuffer(content) ? content : Buffer.concat(content.map((file) => file.data));
  const pieces: Buffer[] = [];
  for (let at = 0; at < data.length; at += pieceLength) {
    pieces.push(
      createHash('sha1')
        .update(data.subarray(at, at + pieceLength))
        .digest(),
    );
  }
  const info = bencoded({
    name,
    'piece length': pieceLength,
    pieces: Buffer.concat(pieces),
    ...(Buffer.isBuffer(content)
      ? { length: content.length }
      : { files: content.map((file) => Object.assign({ length: file.data.length, path: file.path }, file.extra)) }),
    ...(options.private === true ? { private: 1 } : {}),
    ...options.info,
  });
  const raw = Buffer.concat([
    Buffer.from('d'),
    ...(announce === undefined ? [] : [bencoded('announce'), bencoded(announce)]),
    bencoded('info'),
    info,
    Buffer.from('e'),
  ]);
  return { raw, infoHash: createHash('sha1').update(info).digest('hex') };
}

/** Makes a torrent of a file or a folder on disk, files in the order of their names. */
export function makeTorrentOf(path: string, options: Omit<TorrentOptions, 'name' | 'content'> = {}): MadeTorrent {
  const name = basename(path);
  if (statSync(path).isFile()) return makeTorrent({ ...options, name, content: readFileSync(path) });
  const files = (below: readonly string[]): TorrentContent[] =>
    readdirSync(join(path, ...below), { withFileTypes: true })
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap((entry) => {
        const inner = [...below, entry.name];
        return entry.isDirectory() ? files(inner) : [{ path: inner, data: readFileSync(join(path, ...inner)) }];
      });
  return makeTorrent({ ...options, name, content: files([]) });
}
