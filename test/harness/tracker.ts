/** A real tracker on loopback: HTTP only, clients told to announce again after 5 seconds. */
import Server from 'bittorrent-tracker/server';
import { waitUntil } from './daemon.ts';

export interface Tracker {
  /** For `announce` of a torrent. */
  readonly url: string;
  /**
   * Waits until a seeder of the torrent has announced itself. rTorrent asks once and then not for ten minutes, whatever
   * interval it is told: it is to be started after this.
   */
  seeded(infoHash: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startTracker(address = '127.0.0.1'): Promise<Tracker> {
  const server = new Server({ udp: false, ws: false, http: true, stats: false, interval: 5000 });
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject);
    // What a client sent that the tracker does not understand: the client's own affair.
    server.on('warning', () => {});
    server.listen(0, address, resolve);
  });
  return {
    url: `http://${address}:${server.http.address().port}/announce`,
    seeded: (infoHash) =>
      waitUntil('a seeder', async () => (server.torrents[infoHash]?.complete ?? 0) > 0, { limitMs: 60_000 }),
    stop: () =>
      new Promise((resolve) => {
        server.close(resolve);
      }),
  };
}
