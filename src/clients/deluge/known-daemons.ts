/**
 * The certificates by which Deluge daemons are known: a file with a line for each, `host:port sha256:HEX`.
 *
 * A line is only ever added, by one write to the end of the file, and the first line of a place counts. So two commands at
 * a time lose nothing, and agree. People delete or add lines by hand.
 */
import { closeSync, constants, fsyncSync, openSync, writeSync } from 'node:fs';
import { readSmallFile } from '../../bytes/read-file.ts';
import { errnoOf } from '../../errors.ts';

/** Bytes: ten thousand daemons. */
const LARGEST = 1024 * 1024;
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;

export class KnownDaemons {
  /** Undefined where nothing is remembered. */
  readonly file: string | undefined;

  constructor(file: string | undefined) {
    this.file = file;
  }

  /** The fingerprint under which the daemon at `place` is known. @throws the errors of open(2), but for a missing file */
  fingerprintOf(place: string): string | undefined {
    if (this.file === undefined) return undefined;
    let text: string;
    try {
      text = readSmallFile(this.file, LARGEST).toString('utf8');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    for (const line of text.split('\n')) {
      const [known, fingerprint] = line.trim().split(/\s+/);
      if (known === place && /^sha256:[0-9a-f]{64}$/.test(fingerprint ?? '')) return fingerprint;
    }
    return undefined;
  }

  /**
   * Remembers a daemon that is not known yet. Gives the fingerprint under which it is known from now on: another command
   * may have been first. Nothing is remembered while the folder of the file is not there.
   * @throws the errors of open(2) and write(2)
   */
  remember(place: string, fingerprint: string): string {
    if (this.file === undefined) return fingerprint;
    let fd: number;
    try {
      fd = openSync(this.file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return fingerprint;
      throw error;
    }
    try {
      // A line that a power failure cut off ends before this one.
      writeSync(fd, `\n${lineOf(place, fingerprint)}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    return this.fingerprintOf(place) ?? fingerprint;
  }
}

export function lineOf(place: string, fingerprint: string): string {
  return `${place} ${fingerprint}`;
}
