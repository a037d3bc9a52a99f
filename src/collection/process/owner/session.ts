/** One connection to the index process: answers its requests, one after the other. Trusts nothing that it is sent. */
import type { Socket } from 'node:net';
import { ByteReader, ByteWriter, MalformedBytes } from '../../../bytes/byte-codec.ts';
import { AutotorrentError } from '../../../errors.ts';
import type { Logger, LogLevel } from '../../../logger.ts';
import type { Collection } from '../../collection.ts';
import type { CollectionIndex } from '../../index.ts';
import { AnswerTooLarge } from '../../level/open-index.ts';
import { FRAME, FrameReader, REQUEST_LIMIT, send } from '../wire/frames.ts';
import {
  decodeRequest,
  decodeText,
  encodeError,
  encodeLog,
  encodeProgress,
  encodeResult,
  encodeText,
} from '../wire/messages.ts';
import { type Method, methodOf } from '../wire/questions.ts';

export interface SessionOptions {
  readonly collection: Collection;
  readonly build: string;
  /** Stops rebuilds. */
  readonly signal: AbortSignal;
  /** Resolves when no rebuild goes on that was stopped. */
  readonly noneStops: () => Promise<void>;
}

/** A client that says nothing for this long after it connects is dropped. */
const HELLO_MS = 10_000;
/** Questions that the index is asked at once: their answers are in memory together. */
const QUESTIONS_AT_ONCE = 256;
/** Bytes of a frame of answers, roughly. */
const ANSWERS_BYTES = 1 << 20;
/** If more bytes than this wait to be sent, progress and log lines are left out. */
const WAITING_BYTES = 1 << 20;

/** Serves a client. Resolves when the connection has ended; never rejects. */
export async function serveSession(socket: Socket, options: SessionOptions): Promise<'done' | 'other build'> {
  const session = new Session(socket, options);
  try {
    return await session.run();
  } catch (error) {
    const told =
      error instanceof MalformedBytes
        ? new AutotorrentError('INDEX', `the index process does not understand: ${error.message}`)
        : error;
    await send(socket, FRAME.error, encodeError(told));
    return 'done';
  } finally {
    await session.close();
    await ended(socket);
  }
}

/** Ends the connection. A client has a second to read the rest. */
async function ended(socket: Socket): Promise<void> {
  if (socket.destroyed) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, 1000);
    socket.end(() => {
      clearTimeout(timer);
      resolve();
    });
    socket.once('close', () => resolve());
  });
}

class Session {
  readonly #socket: Socket;
  readonly #frames: FrameReader;
  readonly #options: SessionOptions;
  readonly #gone = new AbortController();
  #index: CollectionIndex | undefined;

  constructor(socket: Socket, options: SessionOptions) {
    this.#socket = socket;
    this.#frames = new FrameReader(socket, REQUEST_LIMIT);
    this.#options = options;
    const gone = (): void => this.#gone.abort(new Error('the command that asked has gone'));
    socket.on('end', gone);
    socket.on('close', gone);
  }

  async run(): Promise<'done' | 'other build'> {
    const timer = setTimeout(() => this.#socket.destroy(), HELLO_MS);
    const hello = await this.#frames.next().finally(() => clearTimeout(timer));
    if (hello === undefined) return 'done';
    if (hello.type !== FRAME.hello) throw new MalformedBytes('a client says hello first');
    if (decodeText(hello.payload) !== this.#options.build) {
      await send(this.#socket, FRAME.otherBuild, encodeText(this.#options.build));
      return 'other build';
    }
    await send(this.#socket, FRAME.welcome);
    for (;;) {
      const frame = await this.#frames.next();
      if (frame === undefined) return 'done';
      try {
        await this.#answer(frame.type, frame.payload);
      } catch (error) {
        if (error instanceof MalformedBytes) throw error;
        await send(this.#socket, FRAME.error, encodeError(error));
      }
    }
  }

  async close(): Promise<void> {
    await this.#index?.close();
  }

  async #answer(type: number, payload: Buffer): Promise<void> {
    if (type === FRAME.open) await this.#open(decodeText(payload));
    else if (type === FRAME.ask) await this.#ask(payload);
    else if (type === FRAME.rebuild) await this.#rebuild(payload);
    else if (type === FRAME.awaitStopped) {
      await this.#options.noneStops();
      await send(this.#socket, FRAME.noneStops);
    } else throw new MalformedBytes(`there is no message ${type}`);
  }

  /** `wanted`: the version whose folder ids the client knows, or nothing. */
  async #open(wanted: string): Promise<void> {
    await this.#index?.close();
    this.#index = undefined;
    const index = await this.#options.collection.openIndex();
    if (wanted !== '' && index.version !== wanted) {
      await index.close();
      throw new AutotorrentError(
        'INDEX',
        'the index process ended, and the collection was rebuilt before the next one',
        {
          hint: 'run the command again',
        },
      );
    }
    this.#index = index;
    await send(this.#socket, FRAME.opened, encodeText(index.version));
  }

  async #ask(payload: Buffer): Promise<void> {
    const from = new ByteReader(payload);
    const method = methodOf(from.integer('a method'));
    const questions: unknown[] = [];
    for (let left = from.count('questions', 1); left > 0; left--) questions.push(method.readQuestion(from));
    if (from.left > 0) throw new MalformedBytes('there is more than the questions');
    const index = this.#index;
    if (index === undefined) throw new MalformedBytes('a client opens the index first');
    for (let at = 0; at < questions.length && !this.#gone.signal.aborted; at += QUESTIONS_AT_ONCE) {
      await this.#askSome(index, method, questions.slice(at, at + QUESTIONS_AT_ONCE));
    }
  }

  async #askSome(index: CollectionIndex, method: Method<unknown, unknown>, questions: unknown[]): Promise<void> {
    let answers: readonly unknown[];
    try {
      answers = await method.ask(index, questions);
    } catch (error) {
      if (!(error instanceof AnswerTooLarge) || questions.length === 1) throw error;
      for (const question of questions) await this.#askSome(index, method, [question]);
      return;
    }
    let out = new ByteWriter();
    let count = 0;
    for (const [i, answer] of answers.entries()) {
      method.writeAnswer(out, answer);
      count++;
      if (out.finish().length < ANSWERS_BYTES && i + 1 < answers.length) continue;
      const head = new ByteWriter();
      head.integer(count);
      await send(this.#socket, FRAME.answers, Buffer.concat([head.finish(), out.finish()]));
      out = new ByteWriter();
      count = 0;
    }
  }

  async #rebuild(payload: Buffer): Promise<void> {
    const request = decodeRequest(payload);
    // It makes a generation of its own: one that is open here is not needed for it.
    const result = await this.#options.collection.rebuild(request, {
      signal: AbortSignal.any([this.#gone.signal, this.#options.signal]),
      logger: this.#logger(),
      onProgress: (progress) => this.#mention(FRAME.progress, encodeProgress(progress)),
    });
    await send(this.#socket, FRAME.rebuilt, encodeResult(result));
  }

  /** Log lines go to the command that asked. */
  #logger(): Logger {
    const at =
      (level: LogLevel) =>
      (message: string): void =>
        this.#mention(FRAME.log, encodeLog(level, message));
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  }

  /** Sends a message that a client may miss: a client that does not read costs no memory. */
  #mention(type: typeof FRAME.progress | typeof FRAME.log, payload: Buffer): void {
    if (this.#socket.writableLength < WAITING_BYTES) void send(this.#socket, type, payload);
  }
}
