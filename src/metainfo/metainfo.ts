/**
 * A parsed, validated .torrent. Everything in it has been checked: no path can leave its folder, every length is a safe
 * integer, and the piece count fits. Only `parse.ts` makes one.
 *
 * Glossary: *info hash* is the SHA-1 of the bytes of the info dictionary as they stand in the file (BEP 3); a v2 info
 * hash is the SHA-256 of the same bytes (BEP 52). A *pad file* (BEP 47) fills up to the next piece boundary with zeros.
 */

export interface TorrentFile {
  /**
   * Position in the torrent's own file list, pad files included; clients call it the file index. (For v2-only torrents
   * libtorrent 2.0 also counts pad files of its own making, which are in no list.)
   */
  readonly index: number;
  /**
   * Safe components below the torrent's name, as the mount shows them; for a single-file torrent `[name]`. Empty strings in
   * the torrent's path are left out (the last one is a `_` at the end), and a component that no mount can show is shorter here (`long-names.ts`).
   */
  readonly path: readonly string[];
  /** The same components as the bytes of the plain `path` key, of any length, which rTorrent uses unchanged. */
  readonly rawPath: readonly Buffer[];
  /** The last string of the plain `path` is empty: rTorrent takes the file for a folder. */
  readonly endsEmpty?: true;
  /** Bytes. */
  readonly length: number;
  /**
   * Offset of the file in the torrent's piece space, in bytes. v1 and hybrid: files lie end to end; v2: each begins at the
   * next piece boundary, so that offsets may exceed `totalLength`.
   */
  readonly offset: number;
  /** All zeros. Pad files of one length may have the same path; no other two files do. */
  readonly pad: boolean;
  readonly executable: boolean;
  /** For BEP 47 symlinks (length 0): the target's safe components from the torrent's folder on. The target may not exist. */
  readonly symlink?: readonly string[];
  /** v2: the merkle root of the file's 16 KiB blocks; absent for empty files and pads, and in v1. */
  readonly piecesRoot?: Buffer;
}

export interface Metainfo {
  /** The whole .torrent as read. */
  readonly raw: Buffer;
  readonly version: 'v1' | 'v2' | 'hybrid';
  /** 40 hex digits: the v1 info hash; for v2-only torrents the first 20 bytes of the v2 one, as in clients. */
  readonly infoHash: string;
  /** 64 hex digits, for v2 and hybrid torrents. */
  readonly infoHashV2?: string;
  /** The torrent's name: one safe path component. For a v2-only single file, the name in its file tree. */
  readonly name: string;
  /** Its bytes, of any length; none where the torrent's name is an empty string, as that of several files may be. */
  readonly rawName: Buffer;
  /** True if the files lie in a folder named `name`; false for a single file of that name. */
  readonly multi: boolean;
  readonly files: readonly TorrentFile[];
  /** Sum of all lengths, pads included, in bytes. */
  readonly totalLength: number;
  readonly pieceLength: number;
  readonly pieceCount: number;
  /** v1 and hybrid: `pieceCount` SHA-1 digests, end to end; empty for v2. */
  readonly pieces: Buffer;
  /** v2 and hybrid: pieces root (hex) to its layer, SHA-256 digests end to end; files of one piece have none. */
  readonly pieceLayers: ReadonlyMap<string, Buffer>;
  readonly private: boolean;
  readonly source?: string;
  readonly comment?: string;
  /** Tiers of tracker URLs (BEP 12); `announce` alone makes one tier of one. */
  readonly announce: readonly (readonly string[])[];
}

/** A range of one torrent file that a piece covers; `offset` counts from the file's start. Never empty. */
export interface PieceSpan {
  readonly file: number;
  readonly offset: number;
  readonly length: number;
}
