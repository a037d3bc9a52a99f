/**
 * Who answers at a Deluge daemon's address: decided by its certificate, before it gets a login.
 *
 * The daemon signs its certificate itself, so nobody vouches for it. But the daemon of this machine keeps it beside its
 * `auth` file, and whoever can read the password there can read which certificate the daemon has. A daemon elsewhere is
 * believed the first time, and known by its certificate from then on.
 */
import { X509Certificate } from 'node:crypto';
import { dirname, join } from 'node:path';
import { readSmallFile } from '../../bytes/read-file.ts';
import { type AutotorrentError, messageOf } from '../../errors.ts';
import { type Endpoint, failure } from '../wire/exchange.ts';
import { type KnownDaemons, lineOf } from '../wire/known-daemons.ts';

const LARGEST_CERTIFICATE = 64 * 1024;

interface Pin {
  readonly file: string;
  readonly fingerprint: string;
}

/** Where the login comes from: an `auth` file, or the configuration, with the `auth` files of this machine if it is meant. */
export type LoginSource = { readonly authFile: string } | { readonly authFiles: readonly string[] };

export class DaemonIdentity {
  readonly #endpoint: Endpoint;
  readonly #known: KnownDaemons;

  constructor(endpoint: Endpoint, known: KnownDaemons) {
    this.#endpoint = endpoint;
    this.#known = known;
  }

  /**
   * Decides whether the daemon with this certificate may have the login. True if this is the first time that it is seen,
   * and nothing on this machine proves it. @throws AutotorrentError('CLIENT') if it is another daemon
   */
  isFirstSeen(fingerprint: string, source: LoginSource): boolean {
    const isOfFile = 'authFile' in source;
    const pins = (isOfFile ? [source.authFile] : source.authFiles).flatMap((file) => pinBeside(file) ?? []);
    if (pins.some((pin) => pin.fingerprint === fingerprint)) return false;
    const [pin] = pins;
    // A password from the file of a daemon is for that daemon alone.
    if (isOfFile && pin !== undefined) throw this.#notOwn(fingerprint, pin, 'start deluged, or correct `host`');
    const known = this.#knownFingerprint();
    if (known === fingerprint) return false;
    if (known !== undefined) throw this.#changed(fingerprint, known);
    if (pin === undefined) return true;
    const { file } = this.#known;
    const line = lineOf(this.#endpoint.shown, fingerprint);
    const add = file === undefined ? '' : `; if it is a daemon of another machine, add the line "${line}" to ${file}`;
    throw this.#notOwn(fingerprint, pin, `start deluged, or correct \`host\`${add}`);
  }

  /** Makes a daemon known that took the login. @throws AutotorrentError('CLIENT') if another command knows another one */
  remember(fingerprint: string): void {
    let known: string;
    try {
      known = this.#known.remember(this.#endpoint.shown, fingerprint);
    } catch (error) {
      throw this.#unusable(error);
    }
    if (known !== fingerprint) throw this.#changed(fingerprint, known);
  }

  #knownFingerprint(): string | undefined {
    try {
      return this.#known.fingerprintOf(this.#endpoint.shown);
    } catch (error) {
      throw this.#unusable(error);
    }
  }

  #notOwn(fingerprint: string, pin: Pin, advice: string): AutotorrentError {
    return failure(
      this.#endpoint,
      `is not the daemon of this machine, and was not sent the password: its certificate is ${fingerprint}, and that in ${pin.file} is ${pin.fingerprint}`,
      `See which program listens there; ${advice}.`,
    );
  }

  #changed(fingerprint: string, known: string): AutotorrentError {
    const { file = '' } = this.#known;
    return failure(
      this.#endpoint,
      `shows another certificate than before, and was not trusted: it is ${fingerprint}, and was ${known}`,
      `If this daemon has a new certificate, delete the line of ${this.#endpoint.shown} in ${file}; if not, another program listens there.`,
    );
  }

  #unusable(error: unknown): AutotorrentError {
    const { file = '' } = this.#known;
    return failure(
      this.#endpoint,
      `cannot be compared with the daemons that are known: ${file}: ${messageOf(error)}`,
      'Make this file readable and writable for this user, or delete it.',
      error,
    );
  }
}

/** The certificate that a daemon keeps beside its `auth` file; undefined where there is none that can be read. */
function pinBeside(authFile: string): Pin | undefined {
  const file = join(dirname(authFile), 'ssl', 'daemon.cert');
  try {
    return { file, fingerprint: fingerprintOf(new X509Certificate(readSmallFile(file, LARGEST_CERTIFICATE))) };
  } catch {
    return undefined;
  }
}

export function fingerprintOf(certificate: X509Certificate): string {
  return `sha256:${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`;
}
