/**
 * What clients are known by: a file with a line for each. A Deluge daemon is known by its certificate (`host:port
 * sha256:HEX`), any other client of this machine by the user whose program it is (`host:port uid:NUMBER`, `unix:PATH
 * uid:NUMBER`).
 *
 * A line is only ever added, by one write to the end of the file, and the first line of a place counts. So two commands at
 * a time lose nothing, and agree. People delete or add lines by hand.
 *
 * Lines of a further form say whom a client's program runs as: `PLACE runs-as:UID:GID:NAME`, or `runs-as:-` where that is not
 * known any more. Of these the last line of a place counts. They only say whose the files in the mount should be, and decide
 * nothing about whom is sent what.
 */
import { closeSync, constants, fsyncSync, openSync, writeSync } from 'node:fs';
import { readSmallFile } from '../../bytes/read-file.ts';
import { errnoOf } from '../../errors.ts';
import { accountOf } from '../../native/accounts.ts';
import type { ProgramUser } from '../client.ts';

/** Bytes: ten thousand daemons. */
const LARGEST = 1024 * 1024;
const FINGERPRINT = /^sha256:[0-9a-f]{64}$/;
const USER = /^uid:\d{1,10}$/;
const RUNS_AS = /^runs-as:(?:-|\d{1,10}:\d{1,10}:[\w.$-]*)$/;
/** Names that fit a line. */
const NAME = /^[\w.$-]+$/;
/** The highest id: one more means "none" to the kernel. */
const LARGEST_ID = 2 ** 32 - 2;
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
   * Whom the program at `place` ran as. Undefined also if the name that this user had is not his any more: his number may be
   * another's now. @throws the errors of open(2), but for a missing file
   */
  programUserOf(place: string): ProgramUser | undefined {
    const [, uid = '', gid = '', name = ''] = this.#find(place, RUNS_AS, 'last')?.split(':') ?? [];
    if (gid === '' || Number(uid) > LARGEST_ID || Number(gid) > LARGEST_ID) return undefined;
    const user = { uid: Number(uid), gid: Number(gid) };
    if (name === '') return user;
    return accountOf(user.uid)?.name === name ? { ...user, name } : undefined;
  }

  /**
   * Remembers whom it runs as; undefined: that is not known any more. True if the file said otherwise.
   * @throws the errors of open(2) and write(2)
   */
  rememberProgramUser(place: string, user: ProgramUser | undefined): boolean {
    const { uid, gid, name = '' } = user ?? {};
    const mark = uid === undefined ? 'runs-as:-' : `runs-as:${uid}:${gid}:${NAME.test(name) ? name : ''}`;
    const last = this.#find(place, RUNS_AS, 'last') ?? 'runs-as:-';
    if (last !== mark) this.#append(place, mark);
    return last !== mark;
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

  #find(place: string, form: RegExp, which: 'first' | 'last' = 'first'): string | undefined {
    if (this.file === undefined) return undefined;
    let text: string;
    try {
      text = readSmallFile(this.file, LARGEST).toString('utf8');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    let found: string | undefined;
    for (const line of text.split('\n')) {
      const [known, mark] = line.trim().split(/\s+/);
      if (known !== place || !form.test(mark ?? '')) continue;
      if (which === 'first') return mark;
      found = mark;
    }
    return found;
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
