/** `autotorrent verify --give-up DISK`: sources that wait for a disk wait no longer. */
import { resolve } from 'node:path';
import type { Config } from '../../config/config.ts';
import type { KnownSource } from '../../control/cases-served.ts';
import { requireServer } from '../server-connection.ts';
import { type SettledSource, settledAs, waitFor } from './settle-sources.ts';

export interface GiveUpRequest {
  /** A disk as `show` names it (`uuid:…`, `mount:…`), or a folder, relative to `cwd`. */
  readonly disk: string;
  readonly cwd: string;
  readonly signal: AbortSignal;
  readonly onWait: (sources: number) => void;
}

/** Gives up what waits for a disk, and tells what became of it. */
export async function giveUpDisk(config: Config, request: GiveUpRequest): Promise<SettledSource[]> {
  const { cwd, disk, signal, onWait } = request;
  const server = await requireServer(config);
  const sinceMs = Date.now();
  const waiting = new Map<number, KnownSource>();
  const everything = Buffer.from('/');
  for await (const source of server.cases.below(everything)) {
    if (source.condition?.state === 'waiting') waiting.set(source.id, source);
  }
  const named = /^(?:uuid|mount):/.test(disk) ? disk : Buffer.from(resolve(cwd, disk));
  const ids = await server.cases.giveUp(named);
  await waitFor(ids, server, signal, onWait);
  const after = new Map<number, KnownSource>();
  for await (const source of server.cases.below(everything)) after.set(source.id, source);
  return ids.flatMap((id) => {
    const was = waiting.get(id);
    return was === undefined ? [] : [settledAs({ was, found: was.condition?.reason ?? '', after, sinceMs })];
  });
}
