/** What `explain PATH` asks about entries: of a server, or of the store while none runs (`server/stopped-store.ts`). */
import type { ControlClient } from '../../control/client.ts';

export interface KnownEntry {
  readonly name: string;
  readonly infoHash: string;
  /** True if it has files in the mount that lack bytes. */
  readonly lacks: boolean;
}

/** A range of a file that has no bytes. */
export interface Gap {
  readonly offset: number;
  readonly length: number;
}

export interface SourceUsers {
  readonly path: Buffer;
  /** Of the entries that use it. */
  readonly infoHashes: readonly string[];
}

export interface KnownEntries {
  list(): Promise<readonly KnownEntry[]>;
  /** Reads the raw .torrent. */
  metainfo(infoHash: string): Promise<Buffer>;
  /** Lists the gaps of each file, in the torrent's order. */
  gaps(infoHash: string): AsyncIterable<readonly Gap[]>;
  sourcesBelow(folder: Buffer): AsyncIterable<SourceUsers>;
  /** A store is let go of, so that a server may start. */
  close(): Promise<void>;
}

/** The entries of a server that runs. */
export function entriesOf(server: ControlClient): KnownEntries {
  return {
    async list() {
      const entries = await server.entries();
      return entries.map(({ name, infoHash, kind, missingBytes }) => {
        return { name, infoHash, lacks: kind === 'mount' && missingBytes > 0 };
      });
    },
    metainfo: async (infoHash) => await server.metainfo(infoHash),
    async *gaps(infoHash) {
      for await (const { extents } of server.files(infoHash)) yield extents.filter(({ kind }) => kind === 'gap');
    },
    async *sourcesBelow(folder) {
      for await (const { record, infoHashes = [] } of server.cases.below(folder, { entries: true })) {
        yield { path: record.path, infoHashes };
      }
    },
    async close() {},
  };
}
