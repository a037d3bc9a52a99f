/**
 * Scrubs in the background: runs in a child that `server/processes/scrub.ts` starts, gives way to everything else, and asks
 * the server before each batch.
 */
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Pace } from '../../app/scrub/pace.ts';
import { scrub } from '../../app/scrub/scrub.ts';
import { requireServer } from '../../app/server-connection.ts';
import { sourceRulesNow } from '../../app/source-rules-now.ts';
import type { Config } from '../../config/config.ts';
import type { Logger } from '../../logger.ts';
import { openCLibrary } from '../../native/c-library.ts';
import { giveWay } from '../../native/give-way.ts';
import { isAtOrBelow } from '../../native/mountinfo.ts';
import { SourceAccess } from '../../source/source-access.ts';
import type { SourceRules } from '../../source/source-folders.ts';
import type { ScrubAnswer, ScrubLine } from '../processes/scrub.ts';

/** The lowest of setpriority(2). */
const LOWEST = 19;
/** Milliseconds after which the mounted disks are read anew. */
const DISKS_MS = 10_000;
/** Milliseconds between two lines about the progress. */
const PROGRESS_MS = 1000;

export interface BackgroundScrub {
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Where the server's answers come from; its end is the end of the server. */
  readonly answers: Readable;
  readonly say: (line: ScrubLine) => void;
}

/** @throws AutotorrentError('SERVER') if the server cannot be asked */
export async function scrubInBackground(
  config: Config,
  { logger, signal, answers, say }: BackgroundScrub,
): Promise<void> {
  giveWay(openCLibrary(logger), LOWEST);
  const ended = new AbortController();
  const rules = await sourceRulesNow(config, await requireServer(config));
  const pace = new AskedPace(rules, answers, say, () => ended.abort(new Error('the server has ended')));
  await pace.findDisks();
  let saidAt = 0;
  const found = await scrub(config, {
    entries: [],
    days: config.scrubDays,
    all: false,
    again: false,
    readers: 1,
    pace,
    logger,
    signal: AbortSignal.any([signal, ended.signal]),
    onProgress(progress, { name }) {
      if (performance.now() - saidAt < PROGRESS_MS) return;
      saidAt = performance.now();
      say({ progress: { name, ...progress } });
    },
    // The server says it.
    onDamage() {},
  });
  for (const { infoHash, provenPieces, badPieces, leftPieces, missingPieces, asleep } of found) {
    const left = leftPieces + missingPieces;
    say({ entry: { infoHash, provenPieces, badPieces: badPieces.length, leftPieces: left, asleep } });
  }
  answers.destroy();
}

class AskedPace implements Pace {
  readonly #access: SourceAccess;
  readonly #say: (line: ScrubLine) => void;
  #disks: readonly { readonly disk: string; readonly mount: Buffer }[] = [];
  #readAt = 0;
  #answer: ((answer: ScrubAnswer) => void) | undefined;

  constructor(rules: SourceRules, answers: Readable, say: (line: ScrubLine) => void, onEnd: () => void) {
    this.#access = new SourceAccess(rules);
    this.#say = say;
    createInterface({ input: answers })
      .on('line', (line) => this.#answer?.(JSON.parse(line) as ScrubAnswer))
      .on('close', () => {
        this.#answer?.({ end: true });
        onEnd();
      });
  }

  async findDisks(): Promise<void> {
    this.#readAt = performance.now();
    const mounted = await this.#access.fileSystems.disksMounted();
    this.#disks = [...mounted]
      .flatMap(([disk, mounts]) => mounts.map((mount) => ({ disk, mount })))
      .toSorted((a, b) => b.mount.length - a.mount.length);
  }

  disksOf(paths: readonly Buffer[]): ReadonlySet<string> {
    const disks = new Set<string>();
    for (const path of paths) {
      const holding = this.#disks.find(({ mount }) => isAtOrBelow(path, mount));
      if (holding !== undefined) disks.add(holding.disk);
    }
    return disks;
  }

  async turn(disks: ReadonlySet<string>): Promise<ReadonlySet<string> | undefined> {
    if (performance.now() - this.#readAt > DISKS_MS) await this.findDisks();
    const answer = await new Promise<ScrubAnswer>((resolve) => {
      this.#answer = resolve;
      this.#say({ turn: [...disks] });
    });
    return 'go' in answer ? new Set(answer.go) : undefined;
  }
}
