/**
 * Holds the folders in which files are kept open for those of one message: most files of a message come from one disk.
 *
 * A file below such a folder, and on the same mount, belongs there: whoever goes down to it from the top passes the same folders.
 */
import { closeSync, fstatSync } from 'node:fs';
import { isAtOrBelow } from '../native/mountinfo.ts';
import type { StatxCalls } from '../native/statx.ts';
import { using } from './held.ts';
import type { KeepRequest } from './messages.ts';
import { openKept, type Places } from './places.ts';

/** The open folder of a state's kept files, and the folder of the disk in which it lies. */
export interface OpenKept {
  readonly kept: number;
  readonly place: string;
}

interface HeldKeptParts {
  readonly places: Places;
  readonly statx: StatxCalls | undefined;
}

/** Folders that are open at once. */
const MOST = 8;

export class HeldKept {
  readonly #parts: HeldKeptParts;
  readonly #held: (OpenKept & { readonly mount: string; readonly folder: Buffer })[] = [];

  constructor(parts: HeldKeptParts) {
    this.#parts = parts;
  }

  /** Tells if a folder is held, which may be deleted by now. */
  get any(): boolean {
    return this.#held.length > 0;
  }

  /** Opens, and makes, the folder for a file. It is open until the next call. @throws NotOurs; errors of the disk */
  for({ fd, path, rules }: KeepRequest): OpenKept {
    const { places, statx } = this.#parts;
    const mount = `${statx?.mountOfOpen(fd) ?? 'device'} ${fstatSync(fd).dev}`;
    const file = Buffer.from(path, 'latin1');
    const known = this.#held.find((one) => one.mount === mount && isAtOrBelow(file, one.folder));
    if (known !== undefined) return known;
    if (this.#held.length === MOST) this.close();
    const { fd: topmost, place } = places.openTopmost(fd, path, rules.folders);
    const kept = using(topmost, (open) => openKept(open, rules.state, true));
    const found = { kept, place, mount, folder: Buffer.from(place, 'latin1') };
    this.#held.push(found);
    return found;
  }

  close(): void {
    for (const { kept } of this.#held.splice(0)) closeSync(kept);
  }
}
