/** A real torrent client in a temporary folder of its own: the parts that all kinds share. */
import { rm } from 'node:fs/promises';
import { type Daemon, waitUntil } from './daemon.ts';
import { commandAs, giveTo, type User } from './other-user.ts';

export interface ClientDaemon {
  /** The `url` of the [client] section. */
  readonly url: string;
  /** Holds all its files; `stop` removes it. */
  readonly folder: string;
  /** The folder for torrents that are added without a directory. */
  readonly downloads: string;
  /** The address on which it listens for peers. */
  readonly address: string;
  readonly peerPort: number;
  readonly pid: number;
  output(): string;
  /** Ends it, and starts it again with the state that it has on the disk then, under the same addresses. */
  restart(how: 'in order' | 'killed', meanwhile?: () => Promise<unknown>): Promise<void>;
  /** The same, as another user, who gets its folder. */
  restartAs(user: User): Promise<void>;
  /** Ends it in order, and leaves its folder for a client that is started there later. */
  end(): Promise<void>;
  /** Ends it, waits, and removes its folder. */
  stop(): Promise<void>;
}

interface Kind extends Pick<ClientDaemon, 'url' | 'folder' | 'downloads' | 'address' | 'peerPort'> {
  readonly what: string;
  /** Whom it runs as. Default: this process's user. */
  readonly user?: User | undefined;
  /** `before`: goes before the command. */
  start(before: readonly string[]): Promise<Daemon>;
  /** Tells if its RPC answers. */
  answers(): Promise<boolean>;
  /** The signal that ends it in order. */
  readonly end: 'SIGINT' | 'SIGTERM';
}

/** Starts it, and waits until it answers. After a failure nothing of it is left. */
export async function clientDaemon(kind: Kind): Promise<ClientDaemon> {
  const { what, end, url, folder, downloads, address, peerPort } = kind;
  let { user } = kind;
  const start = async (): Promise<Daemon> => {
    if (user !== undefined) await giveTo(user, folder);
    return await kind.start(commandAs(user));
  };
  let daemon = await start();
  const stop = async (): Promise<void> => {
    await daemon.stop(end);
    await rm(folder, { recursive: true, force: true });
  };
  const answering = async (): Promise<void> => {
    try {
      await waitUntil(what, () => kind.answers(), { daemon });
    } catch (error) {
      await stop();
      throw error;
    }
  };
  await answering();
  return {
    url,
    folder,
    downloads,
    address,
    peerPort,
    get pid() {
      return daemon.pid;
    },
    output: () => daemon.output(),
    async restart(how, meanwhile) {
      await daemon.stop(how === 'killed' ? 'SIGKILL' : end);
      await meanwhile?.();
      daemon = await start();
      await answering();
    },
    async restartAs(other) {
      user = other;
      await daemon.stop(end);
      daemon = await start();
      await answering();
    },
    end: () => daemon.stop(end),
    stop,
  };
}
