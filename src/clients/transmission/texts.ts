/** Recognises Transmission's answers that have a text and no code: `result` is a sentence. Seen with 3.00. */

export const SUCCESS = 'success';

/** Before 2.80 a duplicate was a result of its own; since then it is a success with `torrent-duplicate`. */
export function isDuplicate(result: string): boolean {
  return result.startsWith('duplicate torrent');
}
