/** Lists of what one call takes, for clients and replies with a limit. */

/** `items` in their order, in lists that weigh `limit` or less; one that weighs more alone has a list of its own. */
export function* byWeight<T>(items: readonly T[], limit: number, weightOf: (item: T) => number): Generator<T[]> {
  let list: T[] = [];
  let total = 0;
  for (const item of items) {
    const weight = weightOf(item);
    if (list.length > 0 && total + weight > limit) {
      yield list;
      list = [];
      total = 0;
    }
    list.push(item);
    total += weight;
  }
  if (list.length > 0) yield list;
}

/** Runs `work` on each item, on up to `limit` of them at a time; after a failure it begins no more, and throws it at the end. */
export async function inParallel<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  let failed = false;
  const ended = await Promise.allSettled(
    Array.from({ length: limit }, async () => {
      for (const item of queue) {
        if (failed) return;
        try {
          await work(item);
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    }),
  );
  const failure = ended.find((one) => one.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}
