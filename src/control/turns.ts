/**
 * Lets one command add at a time. An entry passes through the store and the client; two commands with the same torrent
 * would each take the other's half-made entry for the remains of a crash.
 *
 * A turn is a reply that stays open: it ends with its connection, also if the command is killed.
 */
import type { ServerResponse } from 'node:http';

export class Turns {
  /** The first has its turn; the others wait in order of arrival. */
  readonly #queue: ServerResponse[] = [];

  take(reply: ServerResponse): void {
    reply.once('close', () => {
      const at = this.#queue.indexOf(reply);
      this.#queue.splice(at, 1);
      if (at === 0) this.#begin();
    });
    this.#queue.push(reply);
    if (this.#queue.length === 1) this.#begin();
  }

  #begin(): void {
    this.#queue[0]?.writeHead(200).flushHeaders();
  }
}
