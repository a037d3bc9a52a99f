/** The routes about sources and their cases (`case-messages.ts` has them). */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AutotorrentError } from '../errors.ts';
import type { Holder } from '../server/settling/queue.ts';
import type { Settling } from '../server/settling/settling.ts';
import { type BodyTimes, jsonOf, linesOf } from './body.ts';
import {
  caseMessage,
  folderIn,
  idsIn,
  indexQuestionIn,
  indexRenewedIn,
  knownSourceMessage,
  mappingLine,
  outcomeIn,
  suspectIn,
} from './case-codec.ts';
import type { AppliedMessage, IndexAnswerMessage, ReleasedFoldersMessage, SourceIdsMessage } from './case-messages.ts';

/** Outcomes and suspects of one request. */
const MOST_LINES = 500;
/** A line of an outcome: a file may have many ranges. */
const LINE_LIMIT = 16 * 1024 * 1024;
const IDS_LIMIT = 2 * 1024 * 1024;

interface Call {
  readonly request: IncomingMessage;
  readonly reply: ServerResponse;
  readonly id: string;
  readonly query: URLSearchParams;
}

export interface CaseRoutesTools {
  readonly settling: Settling;
  /** The info hash of an entry. @throws AutotorrentError('NOT_FOUND') */
  readonly infoHashOf: (id: string) => Promise<string>;
  readonly times: BodyTimes;
  /** Receives a large body in its turn. */
  readonly received: <T>(request: IncomingMessage, work: () => Promise<T>) => Promise<T>;
  readonly send: (reply: ServerResponse, status: number, value?: unknown) => void;
  readonly sendLines: <T>(
    reply: ServerResponse,
    values: AsyncIterable<T>,
    toMessage: (value: T) => unknown,
  ) => Promise<void>;
}

export function caseRoutes(tools: CaseRoutesTools): [string, (call: Call) => Promise<void>][] {
  const { settling, infoHashOf, times, received, send, sendLines } = tools;
  const limits = { limit: MOST_LINES, lineLimit: LINE_LIMIT };
  return [
    [
      'GET /v1/sources',
      async ({ reply, query }) => {
        const below = settling.known.below(folderIn(query.get('below')), query.get('entries') === 'yes');
        await sendLines(reply, below, knownSourceMessage);
      },
    ],
    [
      'GET /v1/entries/ID/records',
      async ({ reply, id }) => sendLines(reply, settling.known.ofEntry(await infoHashOf(id)), knownSourceMessage),
    ],
    [
      'GET /v1/entries/ID/mapping',
      async ({ reply, id, query }) => {
        await sendLines(reply, settling.known.mapping(await infoHashOf(id), filesIn(query)), mappingLine);
      },
    ],
    [
      'GET /v1/cases',
      async ({ reply, query }) => {
        const wait = Number(query.get('wait') ?? 0);
        if (!(wait >= 0)) throw new AutotorrentError('USAGE', '"wait" must be a number of seconds');
        const gone = new AbortController();
        reply.once('close', () => gone.abort());
        const cases = await settling.cases(holderIn(query) ?? 'healer', wait * 1000, gone.signal);
        await sendLines(reply, inOrder(cases), caseMessage);
      },
    ],
    [
      'POST /v1/cases/outcomes',
      async ({ request, reply, query }) => {
        const outcomes = await received(request, async () => await linesOf(request, limits, times, outcomeIn));
        send(reply, 200, (await settling.apply(outcomes, holderIn(query))) satisfies AppliedMessage);
      },
    ],
    [
      'POST /v1/cases/suspects',
      async ({ request, reply }) => {
        settling.suspects(await received(request, async () => await linesOf(request, limits, times, suspectIn)));
        send(reply, 204);
      },
    ],
    [
      'POST /v1/cases/retry',
      async ({ reply }) => {
        settling.retry();
        send(reply, 204);
      },
    ],
    [
      'POST /v1/cases/give-up',
      async ({ request, reply }) => {
        const asked = (await jsonOf(request, IDS_LIMIT, times)) as {
          readonly disk?: unknown;
          readonly folder?: unknown;
        } | null;
        const disk = typeof asked?.disk === 'string' ? asked.disk : folderIn(asked?.folder);
        send(reply, 200, { ids: settling.giveUp(disk) } satisfies SourceIdsMessage);
      },
    ],
    [
      'POST /v1/cases/settled',
      async ({ request, reply }) => {
        const ids = idsIn(await jsonOf(request, IDS_LIMIT, times));
        const gone = new AbortController();
        reply.once('close', () => gone.abort());
        send(reply, 200, { ids: await settling.settled(ids, gone.signal) } satisfies SourceIdsMessage);
      },
    ],
    [
      'POST /v1/cases/index',
      async ({ request, reply }) => {
        const question = indexQuestionIn(await jsonOf(request, IDS_LIMIT, times));
        send(reply, 200, (await settling.index(question)) satisfies IndexAnswerMessage);
      },
    ],
    [
      'GET /v1/released',
      async ({ reply }) => {
        const folders = settling.released.map((folder) => folder.toString('base64'));
        send(reply, 200, { folders } satisfies ReleasedFoldersMessage);
      },
    ],
    [
      'POST /v1/cases/index/renewed',
      async ({ request, reply }) => {
        const { disks, begunMs, failed } = indexRenewedIn(await jsonOf(request, IDS_LIMIT, times));
        if (failed === undefined) settling.indexed(disks, begunMs);
        else settling.indexFailed(failed);
        send(reply, 204);
      },
    ],
  ];
}

/** The healer that asks; undefined: a command. */
function holderIn(query: URLSearchParams): Holder | undefined {
  const by = query.get('by');
  if (by === null || by === 'healer' || by === 'urgent') return by ?? undefined;
  throw new AutotorrentError('USAGE', '"by" must be "healer" or "urgent"');
}

/** Undefined: all files. */
function filesIn(query: URLSearchParams): number[] | undefined {
  const indexes = query.get('files')?.split(',').map(Number);
  if (indexes?.every((index) => Number.isSafeInteger(index) && index >= 0) === false) {
    throw new AutotorrentError('USAGE', '"files" must be numbers of files');
  }
  return indexes;
}

async function* inOrder<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}
