/** Holds the folder in which files are kept open for those of one message: most come from the same folder of the user. */
import { closeSync, fstatSync } from 'node:fs';
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

export class HeldKept {
  readonly #parts: HeldKeptParts;
  #last: (OpenKept & { readonly of: string }) | undefined;

  constructor(parts: HeldKeptParts) {
    this.#parts = parts;
  }

  /** Tells if a folder is held, which may be deleted by now. */
  get any(): boolean {
    return this.#last !== undefined;
  }

  /** Opens, and makes, the folder for a file; the next call may close it. @throws NotOurs; errors of the disk */
  for({ fd, path, rules }: KeepRequest): OpenKept {
    const { places, statx } = this.#parts;
    const disk = statx?.mountOfOpen(fd) ?? `device ${fstatSync(fd).dev}`;
    const of = `${disk} ${path.slice(0, path.lastIndexOf('/'))}`;
    if (this.#last?.of === of) return this.#last;
    this.close();
    const { fd: topmost, place } = places.openTopmost(fd, path, rules.folders);
    this.#last = { kept: using(topmost, (open) => openKept(open, rules.state, true)), place, of };
    return this.#last;
  }

  close(): void {
    if (this.#last !== undefined) closeSync(this.#last.kept);
    this.#last = undefined;
  }
}
