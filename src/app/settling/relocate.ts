/**
 * `autotorrent relocate FROM TO`: sources below one folder are looked for below another, proven, and recorded there. It is for
 * moves that nobody here could see: another host's, a disk that is mounted elsewhere for good.
 */
import { resolve } from 'node:path';
import type { Config } from '../../config/config.ts';
import { sourceRules } from '../../config/source-rules.ts';
import { AutotorrentError } from '../../errors.ts';
import type { Outcome } from '../../heal/case.ts';
import type { Logger } from '../../logger.ts';
import { rebased } from '../../source/paths.ts';
import { SourceAccess } from '../../source/source-access.ts';
import { runNow } from '../../source/steps.ts';
import { requireServer } from '../server-connection.ts';
import { createSettler } from './settler.ts';

export interface RelocateRequest {
  /** Relative to `cwd`. */
  readonly from: string;
  readonly to: string;
  readonly cwd: string;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onProgress: (sources: number) => void;
}

export interface Relocated {
  /** Sources that are recorded below the new folder now. */
  readonly relocated: number;
  /** Of these, sources that are hashed as they are read, since only some of their pieces were. */
  readonly doubted: number;
  /** Sources of which no file lies below the new folder. */
  readonly missing: number;
  /** Sources of which a file lies there that has other bytes. */
  readonly different: number;
  /** One of those that were not relocated. */
  readonly example?: Buffer;
}

const BATCH = 500;

/** @throws AutotorrentError('USAGE') if the new folder lies on no disk, ('NOT_FOUND') if no source lies below the old one */
export async function relocate(config: Config, request: RelocateRequest): Promise<Relocated> {
  const { cwd, logger, signal, onProgress } = request;
  const [from, to] = [request.from, request.to].map((path) => Buffer.from(resolve(cwd, path))) as [Buffer, Buffer];
  const place = runNow(new SourceAccess(sourceRules(config), { logger }).folders.placeOf(to));
  if ('says' in place) throw new AutotorrentError('USAGE', `${to.toString()} ${place.says}`);
  const server = await requireServer(config);
  const settling = createSettler(config, server, { logger, signal });
  let [relocated, doubted, missing, different, seen] = [0, 0, 0, 0, 0];
  let example: Buffer | undefined;
  let outcomes: Outcome[] = [];
  const report = async (): Promise<void> => {
    const ready = outcomes;
    outcomes = [];
    if (ready.length === 0) return;
    const { applied } = await server.cases.outcomes(ready);
    relocated += applied;
    doubted += Math.min(applied, ready.filter((outcome) => outcome.kind === 'same' && !outcome.trusted).length);
    settling.changed();
  };
  try {
    for await (const { id, record, infoHashes = [] } of server.cases.below(from, { entries: true })) {
      signal.throwIfAborted();
      onProgress(++seen);
      const one = {
        id,
        record,
        spares: [],
        state: 'healing',
        reason: '',
        sinceMs: 0,
        seenDeleted: false,
        givenUp: false,
      } as const;
      const found = await settling.settler.at(one, infoHashes, rebased(record.path, from, to));
      if (typeof found === 'object') outcomes.push(found);
      else {
        example ??= record.path;
        if (found === 'gone') missing++;
        else different++;
      }
      if (outcomes.length >= BATCH) await report();
    }
    await report();
  } finally {
    await settling.close();
  }
  if (seen === 0) {
    throw new AutotorrentError('NOT_FOUND', `no source is recorded below ${from.toString()}`, {
      hint: 'autotorrent show ENTRY lists where the bytes of an entry come from',
    });
  }
  return { relocated, doubted, missing, different, ...(example === undefined ? {} : { example }) };
}
