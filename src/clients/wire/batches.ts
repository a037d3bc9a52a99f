/** Batches: how much one call or one reply takes, and how many calls go at once. */

/** Parts `items`, in their order, into lists that weigh `limit` at most; an item that weighs more has a list of its own. */
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

/** Runs `work` on each item, on `limit` of them at a time. After a failure it begins no further one, and throws when all have ended. */
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
