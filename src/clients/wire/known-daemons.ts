/**
 * What clients are known by: a file with a line for each. A Deluge daemon is known by its certificate (`host:port
 * sha256:HEX`), any other client of this machine by the user whose program it is (`host:port uid:NUMBER`, `unix:PATH
 * uid:NUMBER`).
 *
 * A line is only ever added, by one write to the end of the file, and the first line of a place counts. So two commands at
 * a time lose nothing, and agree. People delete or add lines by hand.
 */
import { closeSync, constants, fsyncSync, openSync, writeSync } from 'node:fs';
import { readSmallFile } from '../../bytes/read-file.ts';
import { errnoOf } from '../../errors.ts';

/** Bytes: ten thousand daemons. */
const LARGEST = 1024 * 1024;
const FINGERPRINT = /^sha256:[0-9a-f]{64}$/;
const USER = /^uid:\d{1,10}$/;
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;

export class KnownDaemons {
  /** Undefined where nothing is remembered. */
  readonly file: string | undefined;

  constructor(file: string | undefined) {
    this.file = file;
  }

  /** The fingerprint under which the daemon at `place` is known. @throws the errors of open(2), but for a missing file */
  fingerprintOf(place: string): string | undefined {
    return this.#find(place, FINGERPRINT);
  }

  /** The user whose program is known at `place`. @throws the errors of open(2), but for a missing file */
  uidOf(place: string): number | undefined {
    const known = this.#find(place, USER);
    return known === undefined ? undefined : Number(known.slice('uid:'.length));
  }

  /**
   * Remembers a daemon that is not known yet. Gives the fingerprint under which it is known from now on: another command
   * may have been first. Nothing is remembered while the folder of the file is not there.
   * @throws the errors of open(2) and write(2)
   */
  remember(place: string, fingerprint: string): string {
    this.#append(place, fingerprint);
    return this.fingerprintOf(place) ?? fingerprint;
  }

  /** The same for the user of a program. @throws the errors of open(2) and write(2) */
  rememberUid(place: string, uid: number): number {
    this.#append(place, `uid:${uid}`);
    return this.uidOf(place) ?? uid;
  }

  #find(place: string, form: RegExp): string | undefined {
    if (this.file === undefined) return undefined;
    let text: string;
    try {
      text = readSmallFile(this.file, LARGEST).toString('utf8');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    for (const line of text.split('\n')) {
      const [known, mark] = line.trim().split(/\s+/);
      if (known === place && form.test(mark ?? '')) return mark;
    }
    return undefined;
  }

  #append(place: string, mark: string): void {
    if (this.file === undefined) return;
    let fd: number;
    try {
      fd = openSync(this.file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return;
      throw error;
    }
    try {
      // A line that a power failure cut off ends before this one.
      writeSync(fd, `\n${lineOf(place, mark)}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
}

export function lineOf(place: string, mark: string): string {
  return `${place} ${mark}`;
}
