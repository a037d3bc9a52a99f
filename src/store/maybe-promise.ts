/** A result that is there at once where nothing has to be waited for: the common case, which costs no tick of the event loop. */
export type MaybePromise<T> = T | Promise<T>;
