/**
 * Events on their way to the server: in batches, the same ones once, and never more than the server keeps up with. What
 * it cannot take at all is replaced by `overflow`.
 */
import type { ThreadEvent } from './protocol.ts';

const BATCH = 1000;
/** Batches that the server may be behind. */
const MOST_UNDERWAY = 8;
const MOST_KEPT = 200_000;

export class Outbox {
  readonly #send: (events: readonly ThreadEvent[]) => void;
  readonly #lost: () => void;
  #events: ThreadEvent[] = [];
  /** Changes of files since the last event that changed names. */
  #said = new Set<string>();
  #underway = 0;

  /** `lost` is called when events are given up. */
  constructor(send: (events: readonly ThreadEvent[]) => void, lost: () => void) {
    this.#send = send;
    this.#lost = lost;
  }

  /** True: more events are better left with the kernel. */
  get full(): boolean {
    return this.#events.length > BATCH && this.#underway >= MOST_UNDERWAY;
  }

  add(event: ThreadEvent): void {
    if (event.kind === 'written' || event.kind === 'closed' || event.kind === 'attributes') {
      const said = `${event.kind} ${event.handle ?? ''} ${event.path ?? ''}`;
      if (this.#said.has(said)) return;
      this.#said.add(said);
    } else this.#said.clear();
    if (this.#events.length >= MOST_KEPT) {
      this.#lost();
      this.#events = [{ kind: 'overflow' }];
    } else this.#events.push(event);
  }

  taken(): void {
    this.#underway--;
    this.send();
  }

  send(): void {
    while (this.#underway < MOST_UNDERWAY && this.#events.length > 0) this.#sendBatch();
  }

  /** Sends all, however far the server is behind. */
  sendAll(): void {
    while (this.#events.length > 0) this.#sendBatch();
  }

  #sendBatch(): void {
    this.#underway++;
    this.#said.clear();
    this.#send(this.#events.splice(0, BATCH));
  }
}
