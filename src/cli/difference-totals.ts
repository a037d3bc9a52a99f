/** Counts the differences of an entry by kind, and the bytes that were written. */
import { bytes } from '../app/quantities.ts';
import type { ServedDifference } from '../control/served.ts';

export class DifferenceTotals {
  differences = 0;
  readonly #counts = { written: 0, resized: 0, touched: 0, moved: 0, deleted: 0, replaced: 0, made: 0 };
  #writtenBytes = 0;
  /** Bytes in files that clients made; `#writtenBytes` are those over planned files. */
  #madeBytes = 0;

  add({ changes, writtenBytes: written }: ServedDifference): void {
    this.differences++;
    for (const change of changes) this.#counts[change]++;
    if (changes.includes('made') || changes.includes('replaced')) this.#madeBytes += written;
    else this.#writtenBytes += written;
  }

  document(): { readonly counts: object; readonly written_bytes: number; readonly made_bytes: number } {
    return { counts: this.#counts, written_bytes: this.#writtenBytes, made_bytes: this.#madeBytes };
  }

  /** `2 written, 1 deleted: 4.1 kB written over files, 12 bytes in files that clients made`. */
  text(): string {
    const counts = Object.entries(this.#counts).filter(([, count]) => count > 0);
    const told = counts.map(([change, count]) => `${count} ${change}`).join(', ');
    return `${told}: ${bytes(this.#writtenBytes)} written over files, ${bytes(this.#madeBytes)} in files that clients made`;
  }
}
