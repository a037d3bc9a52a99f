/** `autotorrent verify --give-up DISK`: sources that wait for a disk wait no longer. */
import type { Config } from '../../config/config.ts';
import type { KnownSource } from '../../control/cases-served.ts';
import { AutotorrentError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { isAtOrBelow } from '../../native/mountinfo.ts';
import { namedDisk } from '../named-disk.ts';
import { forgetDisk } from '../rebuild.ts';
import { requireServer } from '../server-connection.ts';
import { type SettledSource, settledAs, waitFor } from './settle-sources.ts';

export interface GiveUpRequest {
  /** Its key in `[disks]`, its name in `show` (`uuid:…`, `mount:…`), or a folder, relative to `cwd`. */
  readonly disk: string;
  readonly cwd: string;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onWait: (sources: number) => void;
}

/**
 * Gives up what waits for a disk, and what the index keeps of it, and tells what became of the sources.
 * @throws AutotorrentError('USAGE') if no source lies on it, nor waits for it
 */
export async function giveUpDisk(config: Config, request: GiveUpRequest): Promise<SettledSource[]> {
  const { cwd, disk, logger, signal, onWait } = request;
  const server = await requireServer(config);
  const sinceMs = Date.now();
  const waiting = new Map<number, KnownSource>();
  const everything = Buffer.from('/');
  const place = namedDisk(disk, cwd, config);
  const named = 'id' in place ? place.id : Buffer.from(place.path);
  let isKnown = typeof named !== 'string' && config.disks.some((one) => isAtOrBelow(named, Buffer.from(one)));
  for await (const source of server.cases.below(everything)) {
    isKnown ||= isOn(source, named);
    if (source.condition?.state === 'waiting') waiting.set(source.id, source);
  }
  const ids = await server.cases.giveUp(named);
  if (ids.length === 0 && !isKnown) throw unknown(disk, [...waiting.values()]);
  await forgetDisk(config, { disk: named, logger, signal });
  await waitFor(ids, server, signal, onWait);
  const after = new Map<number, KnownSource>();
  for await (const source of server.cases.below(everything)) after.set(source.id, source);
  return ids.flatMap((id) => {
    const was = waiting.get(id);
    return was === undefined ? [] : [settledAs({ was, found: was.condition?.reason ?? '', after, sinceMs })];
  });
}

function isOn({ record }: KnownSource, disk: string | Buffer): boolean {
  return typeof disk === 'string' ? record.disk === disk : isAtOrBelow(record.path, disk);
}

function unknown(disk: string, waiting: readonly KnownSource[]): AutotorrentError {
  const disks = new Set(waiting.map(({ record }) => record.disk ?? 'a folder'));
  const hint = disks.size === 0 ? 'No source waits for a disk.' : `Sources wait for ${[...disks].join(', ')}.`;
  return new AutotorrentError('USAGE', `no source lies on ${disk}, nor waits for it`, { hint });
}
