/** The messages between the server and the thread that keeps its leases. Each is answered in the order in which it was sent. */
import type { Taken } from '../native/leases.ts';

/** Milliseconds after which a writer goes on, whatever the server does. */
export const BREAK_MS = 5000;

export interface LeaseSettings {
  /** A descriptor that is readable when there are messages (`WaitingCalls.alarm`). */
  readonly alarm: number;
}

/** `giveBack`: what writers wait for. `forget`: the descriptors are about to be closed. */
export interface ToKeeper {
  readonly kind: 'take' | 'giveBack' | 'forget' | 'close';
  readonly fds: readonly number[];
}

/** `wanted`: writers wait for these leases. `late`: they have waited for `BREAK_MS`, and these were given back. */
export type FromKeeper =
  | { readonly kind: 'taken'; readonly leases: readonly (readonly [fd: number, taken: Taken])[] }
  | { readonly kind: 'wanted' | 'late' | 'forgotten'; readonly fds: readonly number[] };
