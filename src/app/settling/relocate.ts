/**
 * `autotorrent relocate FROM TO`: sources below one folder are looked for below another, proven, and recorded there. It is for
 * moves that nobody here could see: another host's, a disk that is mounted elsewhere for good.
 */
import { resolve } from 'node:path';
import type { Config } from '../../config/config.ts';
import { AutotorrentError } from '../../errors.ts';
import type { Case, Outcome } from '../../heal/case.ts';
import type { Logger } from '../../logger.ts';
import { isAtOrBelow } from '../../native/mountinfo.ts';
import { isLeftOut } from '../../source/own-folder.ts';
import { rebased } from '../../source/paths.ts';
import { SourceAccess } from '../../source/source-access.ts';
import { runNow } from '../../source/steps.ts';
import { requireServer } from '../server-connection.ts';
import { sourceRulesNow } from '../source-rules-now.ts';
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
  /** Sources that something else recorded anew meanwhile. */
  readonly skipped: number;
  /** One of those that were not relocated. */
  readonly example?: Buffer;
}

const BATCH = 500;

/**
 * What is not at the new place yet stays as it was: the same call goes on from there. If the new folder lies below the old one, the
 * sources in it are left alone.
 * @throws AutotorrentError('USAGE') if the new folder lies on no disk, ('NOT_FOUND') if no source lies below the old one
 */
export async function relocate(config: Config, request: RelocateRequest): Promise<Relocated> {
  const { cwd, logger, signal, onProgress } = request;
  const [from, to] = [request.from, request.to].map((path) => Buffer.from(resolve(cwd, path))) as [Buffer, Buffer];
  if (from.equals(to)) {
    throw new AutotorrentError('USAGE', `${to.toString()} is the old and the new folder`, {
      hint: 'autotorrent relocate FROM TO: FROM is where the sources were, TO where they are now',
    });
  }
  const server = await requireServer(config);
  const rules = await sourceRulesNow(config, server);
  const place = runNow(new SourceAccess(rules, { logger }).folders.placeOf(to));
  if ('says' in place) throw new AutotorrentError('USAGE', `${to.toString()} ${place.says}`);
  const settling = createSettler(config, server, { rules, logger, signal });
  const within = isAtOrBelow(to, from);
  const seen = new Set<number>();
  let [relocated, doubted, missing, different, skipped] = [0, 0, 0, 0, 0];
  let example: Buffer | undefined;
  let outcomes: Outcome[] = [];
  const report = async (): Promise<void> => {
    const ready = outcomes;
    outcomes = [];
    if (ready.length === 0) return;
    const { applied } = await server.cases.outcomes(ready);
    relocated += applied;
    skipped += ready.length - applied;
    doubted += Math.min(applied, ready.filter((outcome) => outcome.kind === 'same' && !outcome.trusted).length);
    settling.changed();
  };
  try {
    for await (const { id, record, condition, infoHashes = [] } of server.cases.below(from, { entries: true })) {
      signal.throwIfAborted();
      // What was relocated may be listed again, at its new place.
      if (seen.has(id) || (within && isAtOrBelow(record.path, to))) continue;
      seen.add(id);
      onProgress(seen.size);
      const { observed, failed } = condition ?? {};
      const one: Case = {
        id,
        record,
        spares: [],
        kept: [],
        state: condition?.state ?? 'healing',
        reason: condition?.reason ?? '',
        sinceMs: condition?.sinceMs ?? 0,
        ...(observed === undefined ? {} : { observed }),
        ...(failed === undefined ? {} : { failed }),
        seenDeleted: false,
        givenUp: false,
      };
      const found = await settling.settler.at(one, infoHashes, rebased(record.path, from, to));
      if (typeof found === 'object') outcomes.push(found);
      // What we keep ourselves is no file of the user's, who may have moved his own alone.
      else if (!isLeftOut(record.path)) {
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
  if (seen.size === 0) {
    throw new AutotorrentError('NOT_FOUND', `no source is recorded below ${from.toString()}`, {
      hint: 'autotorrent show ENTRY lists where the bytes of an entry come from',
    });
  }
  return { relocated, doubted, missing, different, skipped, ...(example === undefined ? {} : { example }) };
}
