/** Recognises Deluge's answers that have a text and no code of their own. Seen with 2.0.3. */

/**
 * A torrent that Deluge has, or is adding: `AddTorrentError: Torrent already in session (…)` and `Torrent already being
 * added (…)` (`deluge/core/torrentmanager.py`). Every refusal of a torrent is an `AddTorrentError`.
 */
export function isAlreadyThere(message: string): boolean {
  return /already (?:in session|being added)/i.test(message);
}
