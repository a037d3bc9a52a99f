/**
 * A result that is available at once if nothing must be waited for: the common case, which costs no tick of the event
 * loop.
 */
export type MaybePromise<T> = T | Promise<T>;
