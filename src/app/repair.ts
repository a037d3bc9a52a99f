/** `autotorrent verify --repair ENTRY…`: has what is lost of an entry downloaded again, whatever the limits say. */
import type { Config } from '../config/config.ts';
import type { RepairNews } from '../control/served.ts';
import { AutotorrentError } from '../errors.ts';
import { requireServer } from './server-connection.ts';

export interface RepairAsked {
  readonly signal: AbortSignal;
  /** Hears of checks that clients make meanwhile: they may take hours, and go on without this command. */
  readonly onChecking: (message: string) => void;
}

/** Resolves when the repair is made, or cannot be made now. @throws AutotorrentError('SERVER'), ('NOT_FOUND') */
export async function askForRepair(config: Config, infoHash: string, asked: RepairAsked): Promise<RepairNews> {
  const server = await requireServer(config);
  for await (const news of server.repair(infoHash, asked.signal)) {
    if (news.outcome !== 'checking') return news;
    asked.onChecking(news.message ?? 'clients check the torrent');
  }
  asked.signal.throwIfAborted();
  throw new AutotorrentError('SERVER', 'the server ended before the repair did', {
    hint: 'the next autotorrent mount goes on with it if it had begun',
  });
}
