/** What Transmission says in words alone: `result` is a sentence, and has no code beside it. Seen with 3.00. */

export const SUCCESS = 'success';

/** Before 2.80 a duplicate was a result of its own; since then it is a success with `torrent-duplicate`. */
export function isDuplicate(result: string): boolean {
  return result.startsWith('duplicate torrent');
}
