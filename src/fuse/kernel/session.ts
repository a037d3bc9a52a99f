/**
 * A session: reads requests, has each answered, and writes the replies. Requests run side by side, and each is answered once.
 *
 * Nothing that waits keeps others from being answered. What one waits for may be another: the kernel reads pages for a write of
 * its own, and holds locks of folders meanwhile.
 */
import { constants } from 'node:os';
import { errnoOf, messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { MaybePromise } from '../../vfs/operations.ts';
import { errnoFor } from '../errno.ts';
import { type Answer, Dispatcher } from './dispatch.ts';
import { Interrupts } from './interrupts.ts';
import { type Agreed, initReply, negotiate, otherMajorReply, type Wanted } from './protocol/negotiation.ts';
import { errorReply } from './protocol/replies.ts';
import type { InitRequest, Request } from './protocol/request.ts';
import { RequestError, readRequest } from './protocol/requests.ts';
import { IN_HEADER, MESSAGE_ROOM } from './protocol/structures.ts';
import { ENDED, type ReplyPort, type RequestSource } from './request-source.ts';

export interface SessionOptions {
  readonly source: RequestSource;
  readonly dispatcher: Dispatcher;
  readonly wanted: Wanted;
  readonly logger: Logger;
}

/** The kernel and this program have no version of the protocol in common. */
export class OldKernel extends Error {}

export class KernelSession {
  readonly #options: SessionOptions;
  readonly #interrupts = new Interrupts();
  #agree: (agreed: Agreed) => void = () => {};
  #disagree: (error: Error) => void = () => {};
  /** Resolves after INIT. Rejects with `OldKernel`. */
  readonly agreed = new Promise<Agreed>((resolve, reject) => {
    this.#agree = resolve;
    this.#disagree = reject;
  });

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Begins to answer. */
  start(): void {
    const { source, wanted } = this.#options;
    source.start(wanted.maxWrite + MESSAGE_ROOM, (message, port) => this.#take(message, port));
  }

  #take(message: Buffer, port: ReplyPort): Promise<void> | undefined {
    let request: Request;
    try {
      request = readRequest(message);
    } catch (error) {
      this.#refuse(error, message, port);
      return undefined;
    }
    switch (request.kind) {
      case 'interrupt':
        this.#interrupts.interrupt(request.target);
        return undefined;
      case 'init':
        this.#init(request, port);
        return undefined;
      default: {
        const answered = this.#answer(request, port);
        // Only these have a view of the message.
        return request.kind === 'write' || request.kind === 'setxattr' ? answered : undefined;
      }
    }
  }

  #refuse(error: unknown, message: Buffer, port: ReplyPort): void {
    const { logger } = this.#options;
    if (!(error instanceof RequestError)) throw error;
    if (error.code === 'EIO') logger.error(`the kernel sent what cannot be understood: ${messageOf(error)}`);
    if (message.length < IN_HEADER.bytes || error.unique === undefined) return;
    this.#send(errorReply(error.unique, errnoFor(error, 'request', logger)), port);
  }

  #init(request: InitRequest, port: ReplyPort): void {
    const negotiated = negotiate(request, this.#options.wanted);
    switch (negotiated.kind) {
      case 'again':
        this.#send(otherMajorReply(request.unique), port);
        return;
      case 'tooOld':
        this.#send(errorReply(request.unique, -constants.errno.EPROTO), port);
        this.#disagree(new OldKernel(negotiated.version));
        return;
      default:
        this.#options.dispatcher.begin(negotiated.agreed);
        this.#send(initReply(request.unique, negotiated.agreed), port);
        this.#agree(negotiated.agreed);
    }
  }

  /** Gives a promise where the request waits. */
  #answer(request: Request, port: ReplyPort): Promise<void> | undefined {
    let result: MaybePromise<Answer | undefined>;
    try {
      result = this.#options.dispatcher.dispatch(request);
    } catch (error) {
      this.#sendError(request, error, port);
      return undefined;
    }
    if (!(result instanceof Promise)) {
      if (result !== undefined) this.#sendAnswer(result, port);
      return undefined;
    }
    return this.#answerWaiting(request, result, port);
  }

  async #answerWaiting(request: Request, waiting: Promise<Answer | undefined>, port: ReplyPort): Promise<void> {
    const { unique, pid } = request;
    let abandoned = false;
    if (Dispatcher.mayBeAbandoned(request)) {
      this.#interrupts.waits(unique, pid, () => {
        abandoned = true;
        this.#send(errorReply(unique, -constants.errno.EINTR), port);
      });
    }
    try {
      const answer = await waiting;
      if (abandoned) answer?.undo?.();
      else if (answer !== undefined) this.#sendAnswer(answer, port);
    } catch (error) {
      if (!abandoned) this.#sendError(request, error, port);
    } finally {
      this.#interrupts.answered(unique);
    }
  }

  #sendAnswer({ reply, undo }: Answer, port: ReplyPort): void {
    if (!this.#send(reply, port)) undo?.();
  }

  #sendError(request: Request, error: unknown, port: ReplyPort): void {
    const { kind, unique } = request;
    // These have no reply.
    if (kind === 'forget' || kind === 'batchForget') return;
    this.#send(errorReply(unique, errnoFor(error, kind, this.#options.logger)), port);
  }

  /** False if the kernel did not take it. Never throws. */
  #send(reply: Buffer, port: ReplyPort): boolean {
    try {
      return port.write(reply);
    } catch (error) {
      if (!ENDED.has(errnoOf(error) ?? '')) {
        this.#options.logger.error(`the kernel refused a reply: ${messageOf(error)}`);
      }
      return false;
    }
  }
}
