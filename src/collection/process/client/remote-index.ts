/** The collection index, asked of the process that owns it. */
import { ByteReader, ByteWriter, MalformedBytes } from '../../../bytes/byte-codec.ts';
import { AutotorrentError } from '../../../errors.ts';
import type {
  ArchivedFile,
  ArchivedQuestion,
  CollectionFile,
  CollectionIndex,
  FileNumbers,
  FolderRef,
  FolderTree,
  Indexed,
  LeftOutFile,
  LeftOutQuestion,
  NameAndRange,
  NameAndSize,
  SizeRange,
} from '../../index.ts';
import { FRAME } from '../wire/frames.ts';
import { decodeText, encodeText } from '../wire/messages.ts';
import { METHODS, type Method } from '../wire/questions.ts';
import { type Connection, ConnectionLost, decoded } from './connection.ts';

/** Questions and bytes of one request, about. */
const QUESTIONS_AT_ONCE = 4096;
const BYTES_AT_ONCE = 1 << 20;
/** A process that is killed is replaced; one that ends again and again over one question is not. */
const ATTEMPTS = 3;

/** Opens the index. @throws AutotorrentError('INDEX') if there is no index, or it cannot be used */
export async function openRemoteIndex(connect: () => Promise<Connection>): Promise<CollectionIndex> {
  for (let attempt = 1; ; attempt++) {
    const connection = await connect();
    try {
      return new RemoteIndex(connect, connection, await openVersion(connection, ''));
    } catch (error) {
      connection.close();
      if (!(error instanceof ConnectionLost)) throw error;
      if (attempt === ATTEMPTS) throw endsAgain(error);
    }
  }
}

/** Opens the index; with a version, only that one. */
async function openVersion(connection: Connection, version: string): Promise<string> {
  await connection.send(FRAME.open, encodeText(version));
  const payload = await connection.expect(FRAME.opened);
  return decoded(() => decodeText(payload));
}

class RemoteIndex implements CollectionIndex {
  readonly version: string;
  readonly #connect: () => Promise<Connection>;
  #connection: Connection | undefined;
  /** One request at a time: the answers of a connection come in order. */
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(connect: () => Promise<Connection>, connection: Connection, version: string) {
    this.#connect = connect;
    this.#connection = connection;
    this.version = version;
  }

  byNameAndSize(questions: readonly NameAndSize[]): Promise<CollectionFile[][]> {
    return this.#askAll(METHODS.byNameAndSize, questions);
  }

  byName(questions: readonly NameAndRange[]): Promise<CollectionFile[][]> {
    return this.#askAll(METHODS.byName, questions);
  }

  bySize(questions: readonly SizeRange[]): Promise<CollectionFile[][]> {
    return this.#askAll(METHODS.bySize, questions);
  }

  archived(questions: readonly ArchivedQuestion[]): Promise<ArchivedFile[][]> {
    return this.#askAll(METHODS.archived, questions);
  }

  releases(names: readonly string[]): Promise<FolderRef[][]> {
    return this.#askAll(METHODS.releases, names);
  }

  folders(names: readonly Buffer[]): Promise<FolderRef[][]> {
    return this.#askAll(METHODS.byFolderName, names);
  }

  byInode(questions: readonly FileNumbers[]): Promise<CollectionFile[][]> {
    return this.#askAll(METHODS.byInode, questions);
  }

  leftOut(questions: readonly LeftOutQuestion[]): Promise<LeftOutFile[][]> {
    return this.#askAll(METHODS.leftOut, questions);
  }

  awayDisks(paths: readonly Buffer[]): Promise<(Buffer | null)[]> {
    return this.#askAll(METHODS.awayDisks, paths);
  }

  known(paths: readonly Buffer[]): Promise<Indexed[]> {
    return this.#askAll(METHODS.known, paths);
  }

  trees(folders: readonly number[]): Promise<FolderTree[]> {
    return this.#askAll(METHODS.trees, folders);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#connection?.close();
  }

  /** All answers, in the order of the questions. */
  async #askAll<Q, A>(method: Method<Q, A>, questions: readonly Q[]): Promise<A[]> {
    const answers: A[] = [];
    for (const request of requests(method, questions)) {
      const turn = this.#turn.then(() => this.#askAgain(request));
      this.#turn = turn.catch(() => {});
      for (const answer of await turn) answers.push(answer);
    }
    return answers;
  }

  /** Asks, and where the process goes away meanwhile asks the next one. */
  async #askAgain<A>(request: Request<A>): Promise<A[]> {
    for (let attempt = 1; ; attempt++) {
      if (this.#closed) throw new Error('the index is closed');
      try {
        return await ask(await this.#connected(), request);
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        this.#connection?.close();
        this.#connection = undefined;
        if (attempt === ATTEMPTS) throw endsAgain(error);
      }
    }
  }

  async #connected(): Promise<Connection> {
    if (this.#connection !== undefined) return this.#connection;
    const connection = await this.#connect();
    try {
      await openVersion(connection, this.version);
    } catch (error) {
      connection.close();
      throw error;
    }
    return (this.#connection = connection);
  }
}

interface Request<A> {
  readonly payload: Buffer;
  readonly questions: number;
  readonly readAnswer: (from: ByteReader) => A;
}

function* requests<Q, A>(method: Method<Q, A>, questions: readonly Q[]): Generator<Request<A>> {
  const { number, writeQuestion, readAnswer } = method;
  let body = new ByteWriter();
  let count = 0;
  for (const [i, question] of questions.entries()) {
    writeQuestion(body, question);
    count++;
    const full = count >= QUESTIONS_AT_ONCE || body.finish().length >= BYTES_AT_ONCE;
    if (!full && i + 1 < questions.length) continue;
    const out = new ByteWriter();
    out.integer(number);
    out.integer(count);
    out.raw(body.finish());
    yield { payload: out.finish(), questions: count, readAnswer };
    body = new ByteWriter();
    count = 0;
  }
}

async function ask<A>(connection: Connection, { payload, questions, readAnswer }: Request<A>): Promise<A[]> {
  await connection.send(FRAME.ask, payload);
  const answers: A[] = [];
  while (answers.length < questions) {
    const payload = await connection.expect(FRAME.answers);
    decoded(() => {
      const from = new ByteReader(payload);
      const count = from.integer('answers', questions - answers.length);
      if (count === 0) throw new MalformedBytes('no answer where one was due');
      for (let left = count; left > 0; left--) answers.push(readAnswer(from));
      if (from.left > 0) throw new MalformedBytes('there is more than the answers');
    });
  }
  return answers;
}

function endsAgain(cause: ConnectionLost): AutotorrentError {
  return new AutotorrentError('INDEX', 'the index process ended while it answered, and so did the next ones', {
    cause,
    hint: 'its log, in the folder of the process beside `db`, says why',
  });
}
