/** A real tracker on loopback: HTTP only, clients told to announce again after 5 seconds. */

export interface Tracker {
  /** For `announce` of a torrent. */
  readonly url: string;
  stop(): Promise<void>;
}

interface TrackerServer {
  readonly http: { address(): { port: number } };
  listen(port: number, host: string, done: () => void): void;
  close(done: () => void): void;
  on(event: 'error' | 'warning', listener: (error: Error) => void): void;
}

export async function startTracker(address = '127.0.0.1'): Promise<Tracker> {
  // The package has no types.
  const { Server }: { Server: new (options: Record<string, unknown>) => TrackerServer } = await import(
    import.meta.resolve('bittorrent-tracker')
  );
  const server = new Server({ udp: false, ws: false, http: true, stats: false, interval: 5000 });
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject);
    // What a client sent that it does not understand: the client's own affair.
    server.on('warning', () => {});
    server.listen(0, address, resolve);
  });
  return {
    url: `http://${address}:${server.http.address().port}/announce`,
    stop: () =>
      new Promise((resolve) => {
        server.close(resolve);
      }),
  };
}
