/**
 * Where requests come from, and where their replies go.
 *
 * A reply goes to the descriptor that its request was read from: a clone of the device answers its own requests alone.
 */

/** Errors of the device after the end: the mount has gone, it was aborted, the descriptor is closed, nothing is mounted. */
export const ENDED: ReadonlySet<string> = new Set(['ENODEV', 'ECONNABORTED', 'EBADF', 'ENOTCONN', 'EPERM']);

/** The way of replies to the requests of one descriptor. */
export interface ReplyPort {
  /** Writes a reply at once. False if the kernel does not want it: it has aborted the request. @throws file errors of the device */
  write(reply: Buffer): boolean;
}

/**
 * Takes a request. Until the promise resolves, the message is in use; without one it is free when this returns. Never throws or
 * rejects.
 */
export type TakeRequest = (message: Buffer, port: ReplyPort) => Promise<void> | undefined;

export interface RequestSource {
  /** Resolves when the kernel sends no more requests: the mount has gone, or its connection was aborted. */
  readonly ended: Promise<void>;
  /** Begins to hand over requests. `bufferBytes`: of the longest message. */
  start(bufferBytes: number, take: TakeRequest): void;
  /** Hands over no more. */
  stop(): void;
}
