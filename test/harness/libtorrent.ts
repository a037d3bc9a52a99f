/** Makes torrents with libtorrent (Debian's python3-libtorrent). */
import { execFileSync } from 'node:child_process';

const MAKE = `
import os, sys
import libtorrent as lt
path, flags, piece = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
storage = lt.file_storage()
lt.add_files(storage, path)
torrent = lt.create_torrent(storage, piece, flags)
lt.set_piece_hashes(torrent, os.path.dirname(path))
sys.stdout.buffer.write(lt.bencode(torrent.generate()))
`;

/** libtorrent's `create_torrent` flags. */
const FLAGS = { v1: 64, v2: 32, hybrid: 0 } as const;

/** Makes the .torrent of a file or folder. `pieceLength`: a power of two from 16 KiB on. */
export function libtorrentOf(path: string, version: keyof typeof FLAGS, pieceLength: number): Buffer {
  const args = ['-W', 'ignore', '-c', MAKE, path, String(FLAGS[version]), String(pieceLength)];
  return execFileSync('/usr/bin/python3', args, { maxBuffer: 64 * 1024 * 1024 });
}
