/** The part of the package that the harness uses; it has no types. Its main file needs a native WebRTC: not this one. */
declare module 'bittorrent-tracker/server' {
  export default class Server {
    /** By info hash, 40 hex digits. */
    readonly torrents: Readonly<Record<string, { readonly complete: number } | undefined>>;
    readonly http: { address(): { port: number } };
    constructor(options: { udp: boolean; ws: boolean; http: boolean; stats: boolean; interval: number });
    listen(port: number, host: string, done: () => void): void;
    close(done: () => void): void;
    on(event: 'error' | 'warning', listener: (error: Error) => void): void;
  }
}
