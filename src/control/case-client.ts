/** Asks the server about sources and their cases, over the connection of a `ControlClient`. */
import type { Outcome } from '../heal/case.ts';
import type { DiskNow, IndexQuestion } from '../server/settling/index-renewal.ts';
import { caseIn, diskMessage, knownSourceIn, mappingOf, outcomeMessage, suspectMessage } from './case-codec.ts';
import type {
  AppliedMessage,
  CaseMessage,
  GiveUpMessage,
  IndexAnswerMessage,
  IndexQuestionMessage,
  IndexRenewedMessage,
  KnownSourceMessage,
  MappingLine,
  ReleasedFoldersMessage,
  SourceIdsMessage,
} from './case-messages.ts';
import type { CaseTicket, KnownSource, MappingPart, SuspectSource } from './cases-served.ts';

/** The requests that a `ControlClient` can make. */
export interface CaseRequests {
  readonly json: (method: string, path: string, content?: unknown) => Promise<unknown>;
  /** Sends one JSON document a line. */
  readonly sendLines: (path: string, lines: readonly unknown[]) => Promise<unknown>;
  readonly lines: <T>(path: string, signal?: AbortSignal) => AsyncGenerator<T>;
}

/** `urgent`: the one that settles what readers wait for. */
export type Healer = 'healer' | 'urgent';

/** Outcomes and suspects that are sent at once. */
const BATCH = 500;
/** Files that one request names. */
const MOST_NAMED = 500;

export class CaseClient {
  readonly #requests: CaseRequests;

  constructor(requests: CaseRequests) {
    this.#requests = requests;
  }

  /** Lists the sources below a folder; with `entries`, also which entries use them. */
  async *below(folder: Buffer, { entries = false } = {}): AsyncGenerator<KnownSource> {
    const path = `/v1/sources?below=${encodeURIComponent(folder.toString('base64'))}${entries ? '&entries=yes' : ''}`;
    for await (const message of this.#requests.lines<KnownSourceMessage>(path)) yield knownSourceIn(message);
  }

  /** Lists the sources of an entry. */
  async *ofEntry(infoHash: string): AsyncGenerator<KnownSource> {
    for await (const message of this.#requests.lines<KnownSourceMessage>(`/v1/entries/${infoHash}/records`)) {
      yield knownSourceIn(message);
    }
  }

  /** Lists how the files of an entry are mapped. `indexes`: those files alone. */
  async *mapping(infoHash: string, indexes?: readonly number[]): AsyncGenerator<MappingPart> {
    const path = `/v1/entries/${infoHash}/mapping`;
    for (let from = 0; from < (indexes?.length ?? 1); from += MOST_NAMED) {
      const named = indexes === undefined ? '' : `?files=${indexes.slice(from, from + MOST_NAMED).join(',')}`;
      for await (const line of this.#requests.lines<MappingLine>(`${path}${named}`)) yield mappingOf(line);
    }
  }

  /** Waits for cases that are due for a healer, at most so many seconds. */
  async cases(by: Healer, waitSeconds: number, signal: AbortSignal): Promise<CaseTicket[]> {
    const cases: CaseTicket[] = [];
    for await (const message of this.#requests.lines<CaseMessage>(`/v1/cases?by=${by}&wait=${waitSeconds}`, signal)) {
      cases.push(caseIn(message));
    }
    return cases;
  }

  /** Reports outcomes. `by`: the healer that was given the cases. Returns how many hold. */
  async outcomes(outcomes: readonly Outcome[], by?: Healer): Promise<AppliedMessage> {
    const path = `/v1/cases/outcomes${by === undefined ? '' : `?by=${by}`}`;
    let [applied, skipped] = [0, 0];
    for (let from = 0; from < outcomes.length; from += BATCH) {
      const lines = outcomes.slice(from, from + BATCH).map(outcomeMessage);
      const answer = (await this.#requests.sendLines(path, lines)) as AppliedMessage;
      applied += answer.applied;
      skipped += answer.skipped;
    }
    return { applied, skipped };
  }

  async suspects(suspects: readonly SuspectSource[]): Promise<void> {
    for (let from = 0; from < suspects.length; from += BATCH) {
      await this.#requests.sendLines('/v1/cases/suspects', suspects.slice(from, from + BATCH).map(suspectMessage));
    }
  }

  async retry(): Promise<void> {
    await this.#requests.json('POST', '/v1/cases/retry');
  }

  /** Gives up sources that wait for a disk, or below a folder. */
  async giveUp(disk: string | Buffer): Promise<readonly number[]> {
    const message: GiveUpMessage = typeof disk === 'string' ? { disk } : { folder: disk.toString('base64') };
    return ((await this.#requests.json('POST', '/v1/cases/give-up', message)) as SourceIdsMessage).ids;
  }

  /** Asks if the index may be asked what became of a source. `missing`: disks of the configuration that are not there. */
  async index({
    id,
    leftMs,
    disks,
    missing,
  }: IndexQuestion & { readonly missing: readonly string[] }): Promise<IndexAnswerMessage> {
    const message: IndexQuestionMessage = { id, left: Math.round(leftMs), disks: disks.map(diskMessage), missing };
    return (await this.#requests.json('POST', '/v1/cases/index', message)) as IndexAnswerMessage;
  }

  /** Reports a rebuild of all of these disks. `failed`: why it failed, if it did. */
  async indexRenewed(disks: readonly DiskNow[], begunMs: number, failed?: string): Promise<void> {
    const message: IndexRenewedMessage = {
      disks: disks.map(diskMessage),
      begun: begunMs,
      ...(failed === undefined ? {} : { failed: failed.slice(0, 1000) }),
    };
    await this.#requests.json('POST', '/v1/cases/index/renewed', message);
  }

  /** Lists the folders on disks that were released and are mounted still. */
  async released(): Promise<readonly Buffer[]> {
    const { folders } = (await this.#requests.json('GET', '/v1/released')) as ReleasedFoldersMessage;
    return folders.map((folder) => Buffer.from(folder, 'base64'));
  }

  /** Waits for half a minute until these cases are settled. Returns those that are not. */
  async settled(ids: readonly number[]): Promise<readonly number[]> {
    const message: SourceIdsMessage = { ids };
    return ((await this.#requests.json('POST', '/v1/cases/settled', message)) as SourceIdsMessage).ids;
  }
}
