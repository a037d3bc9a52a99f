/** A client as the suites for all clients run it. */
import type { TorrentClient } from '../../src/clients/client.ts';
import type { ClientOptions } from '../../src/clients/wire/exchange.ts';
import type { ClientDaemon } from '../harness/client-daemon.ts';

export interface Subject {
  readonly name: string;
  start(): Promise<ClientDaemon>;
  connect(url: string, options?: ClientOptions): TorrentClient;
  /** The same, with a label for what is added. */
  connectLabelled(url: string, label: string): TorrentClient;
  /** The label as the client itself holds it, undone what the adapter does to it. */
  labelOf(url: string, infoHash: string): Promise<string>;
  /** Whether `remove` with `withData` deletes the data: rTorrent has no call for that. */
  readonly deletesData: boolean;
  /** Of the suite, where it is not the name. */
  readonly title?: string;
  /** What becomes of a label in it. */
  readonly labelled?: (label: string) => string;
  /**
   * False where its tests run one after the other: Deluge decides by states that may be seconds old, the older the more it
   * has to do.
   */
  readonly sideBySide?: false;
  /** Adds the many that it is to list at once, where it would take minutes for that itself. */
  readonly filler?: () => TorrentClient;
  /** It takes v2 torrents, which its own test has then. */
  readonly takesV2?: true;
  /** What it says of a torrent whose file is a folder now, or, where it takes no notice of that, has gone. */
  readonly inError: { readonly says: RegExp; readonly file: 'a folder' | 'gone' };
  /** Of which torrents it takes our word for what is there: of none, of whole ones, or also of those with gaps. */
  readonly takesWord: 'never' | 'whole' | 'with gaps';
  /** Names that a torrent may have, with what this client makes of each; no name: as it is. */
  readonly unusualNames: readonly (readonly [own: string, used?: string])[];
}
