/** A client, as the suites that every client runs see it. */
import type { TorrentClient } from '../../src/clients/client.ts';
import type { ClientOptions } from '../../src/clients/wire/exchange.ts';
import type { ClientDaemon } from '../harness/client-daemon.ts';

export interface Subject {
  readonly name: string;
  start(): Promise<ClientDaemon>;
  connect(url: string, options?: ClientOptions): TorrentClient;
  /** The same, with a label for what is added. */
  connectLabelled(url: string, label: string): TorrentClient;
  /** Reads the label from the client itself, decoded from the form that the adapter gave it. */
  labelOf(url: string, infoHash: string): Promise<string>;
  /** Whether `remove` with `withData` deletes the data: rTorrent has no call for that. */
  readonly deletesData: boolean;
  /** The title of its suites, where that is not the name. */
  readonly title?: string;
  /** The form that a label has in it. Default: as it was given. */
  readonly labelled?: (label: string) => string;
  /**
   * False where its tests run one after the other: Deluge decides by states that may be seconds old, the older the more it
   * has to do.
   */
  readonly sideBySide?: false;
  /** A faster way to add many torrents, where this one would take minutes. */
  readonly filler?: () => TorrentClient;
  /** It takes v2 torrents; its own test then adds some. */
  readonly takesV2?: true;
  /** Its message for a torrent whose file became a folder, or, where it does not notice that, is gone. */
  readonly inError: { readonly says: RegExp; readonly file: 'a folder' | 'gone' };
  /** For which torrents it takes our word: for none, for whole ones, or also for those with gaps. */
  readonly takesWord: 'never' | 'whole' | 'with gaps';
  /** Names of files in a torrent, each with the name that this client uses; without one, it uses the torrent's. */
  readonly unusualNames: readonly (readonly [own: string, used?: string])[];
}
