/**
 * One request and one reply, whatever carries them: the limits of each, and the messages for what goes wrong.
 *
 * Glossary: an *endpoint* is where a client is reached, as shown to people: never with a password. A *reply* is the
 * whole answer, no more of it than the call's allowance, and read to its last value within `timeoutMs` of the call: both
 * hold for every call, since what answers may be anything (a proxy, another program, a client that hangs).
 */
import { AutotorrentError, errnoOf } from '../../errors.ts';
import { shownUrl, withoutUrls } from '../../shown-url.ts';
import type { ClientProgram } from '../client.ts';
import { type Allowance, SHORT } from './allowance.ts';
import { ListeningProgram, type ProgramPlace } from './client-program.ts';
import { KnownDaemons } from './known-daemons.ts';
import { Listener } from './listener.ts';
import { Excess, PastDeadline } from './slices.ts';

export interface ClientOptions {
  /** Milliseconds that one call may take, from connecting until its reply is parsed. Default: 30 seconds. */
  readonly timeoutMs?: number;
  /**
   * The longest reply that is read, in bytes, whatever was asked for. Default: 256 MiB (rTorrent's file list of 200,000
   * files takes 35 MiB, and qBittorrent's list of 40,000 torrents with twenty trackers each 110 MiB).
   */
  readonly maxReplyBytes?: number;
  /** The file of what clients are known by; if it is absent, nothing is remembered. */
  readonly knownDaemons?: string | undefined;
  /** The client's program, if it may be the one that listens. */
  readonly program?: ProgramPlace | undefined;
}

export interface Endpoint {
  /** The name of the client that should answer: `rTorrent`. */
  readonly client: string;
  /** The address without its secrets (`shownUrl`). */
  readonly shown: string;
  readonly timeoutMs: number;
  readonly maxReplyBytes: number;
  /** Absent where who listens there is decided otherwise. */
  readonly listener?: Listener;
  /** Absent where it is not known which program of this machine is the client. */
  readonly program?: ClientProgram;
}

export interface Reply {
  /** HTTP's, or that of SCGI's `Status` header. */
  readonly status: number;
  /** Names in lower case; several of one name (`set-cookie`) are lines of one value. */
  readonly headers: Readonly<Record<string, string>>;
  /** What the call allows; for a status other than 200 cut off there. */
  readonly body: Buffer;
  readonly allowed: Allowance;
  /** When the call's time limit ends, as `performance.now()` counts: it holds for parsing the body, too. */
  readonly deadline: number;
}

/** Sends a body and gives the whole reply; `allowed`: `SHORT`, if nothing is said. @throws AutotorrentError('CLIENT') */
export type Exchange = (
  body: Buffer,
  headers?: Readonly<Record<string, string>>,
  allowed?: Allowance,
) => Promise<Reply>;

export function endpointOf(client: string, shown: string, options: ClientOptions): Endpoint {
  const listener = new Listener(`${client} at ${shown}`, new KnownDaemons(options.knownDaemons));
  return {
    client,
    shown,
    timeoutMs: options.timeoutMs ?? 30_000,
    maxReplyBytes: options.maxReplyBytes ?? 256 * 1024 * 1024,
    listener,
    ...(options.program === undefined ? {} : { program: new ListeningProgram(client, listener, options.program) }),
  };
}

/** What a call allows, within what this endpoint may answer at all. */
export function allowedOf({ maxReplyBytes }: Endpoint, allowed: Allowance = SHORT): Allowance {
  return allowed.bytes <= maxReplyBytes ? allowed : { ...allowed, bytes: maxReplyBytes };
}

/**
 * Shortens what a client said to a line of at most 200 characters for a message, without the passkeys of trackers. Whoever
 * shows the message escapes it.
 */
export function quoted(text: string): string {
  return shortened(withoutUrls(text.slice(0, 1000)));
}

function shortened(text: string): string {
  const line = text.slice(0, 1000).replaceAll(/\s+/g, ' ').trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

/** The error whose message begins with the client and its address, and goes on with `what`. */
export function failure(endpoint: Endpoint, what: string, hint?: string, cause?: unknown): AutotorrentError {
  return new AutotorrentError('CLIENT', `${endpoint.client} at ${endpoint.shown} ${what}`, { hint, cause });
}

export function timedOut(endpoint: Endpoint, cause?: unknown): AutotorrentError {
  return failure(
    endpoint,
    `did not answer within ${endpoint.timeoutMs / 1000} s`,
    'See whether the client hangs or its disk is busy, and whether a firewall drops the connection.',
    cause,
  );
}

export function tooLong(endpoint: Endpoint, limit: number, cause?: unknown): AutotorrentError {
  return excessive(endpoint, `more than ${limit} bytes`, cause);
}

function excessive(endpoint: Endpoint, what: string, cause: unknown): AutotorrentError {
  const hint = `See whether ${endpoint.client} is what listens there: it answers this call with less.`;
  return failure(endpoint, `answered with ${what}`, hint, cause);
}

/** The error for a reply that could not be parsed. `found` says what it is, where it is neither too much nor too slow. */
export function unreadable(endpoint: Endpoint, found: string, cause: unknown): AutotorrentError {
  if (cause instanceof PastDeadline) return timedOut(endpoint, cause);
  if (cause instanceof Excess) return excessive(endpoint, cause.message, cause);
  return failure(endpoint, `answered with ${found}`, 'See whether a proxy in front of it has a limit.', cause);
}

export function cutOff(endpoint: Endpoint, cause?: unknown): AutotorrentError {
  return failure(
    endpoint,
    'closed the connection before its answer was complete',
    'See whether the client crashed, or whether a proxy in front of it has a limit.',
    cause,
  );
}

const CHECK_URL = 'See whether the client runs, and correct `url` in the [client] section.';

/** The error for a failure of a socket, of DNS or of TLS, by its code. */
export function connectionFailure(endpoint: Endpoint, error: unknown): AutotorrentError {
  if (error instanceof AutotorrentError) return error;
  const code = errnoOf(error) ?? '';
  const fail = (what: string, hint?: string): AutotorrentError => failure(endpoint, what, hint, error);
  switch (code) {
    case 'ECONNREFUSED':
      return fail('refused the connection: nothing listens there', CHECK_URL);
    case 'ENOENT':
      return fail('has no socket there', CHECK_URL);
    case 'ENOTSOCK':
    case 'EPROTOTYPE':
      return fail('is not a socket that can be connected to', CHECK_URL);
    case 'EACCES':
    case 'EPERM':
      return fail('may not be connected to by this user', 'Give this user access to the socket.');
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return fail('cannot be reached: its host name is not known', 'Correct `url` in the [client] section.');
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ETIMEDOUT':
    case 'EADDRNOTAVAIL':
      return fail(`cannot be reached (${code})`, CHECK_URL);
    case 'ABORT_ERR':
    case 'TimeoutError':
      return timedOut(endpoint, error);
    case 'ECONNRESET':
    case 'EPIPE':
      return cutOff(endpoint, error);
    case 'EPROTO':
      return fail('does not speak TLS', 'Use http:// in `url` of the [client] section.');
    default:
  }
  if (code.startsWith('HPE_')) return fail('answered something that is not HTTP', CHECK_URL);
  if (code.startsWith('ERR_TLS') || code.includes('CERT') || code.startsWith('UNABLE_TO')) {
    return fail(
      `shows a certificate that is not trusted (${code})`,
      'Make it known with NODE_EXTRA_CA_CERTS=/path/to/ca.pem.',
    );
  }
  return fail(`cannot be reached: ${quoted(error instanceof Error ? error.message : String(error))}`);
}

/** The error for a status that is not 200. */
export function statusFailure(endpoint: Endpoint, reply: Reply): AutotorrentError {
  const { status } = reply;
  if (status === 401 || status === 407) {
    return failure(endpoint, `refused the user name and password (${status})`, 'Correct them in the [client] section.');
  }
  if (status === 403) return failure(endpoint, 'forbids the access (403)', 'See its list of allowed addresses.');
  if (status >= 300 && status < 400) {
    const target = shortened(shownUrl(reply.headers['location'] ?? 'an unnamed place'));
    return failure(
      endpoint,
      `redirects to ${target} (${status}), which is not followed`,
      'Write the final address as `url` in the [client] section.',
    );
  }
  if (status === 404) return failure(endpoint, 'has nothing under this path (404)', CHECK_URL);
  if (status >= 500) {
    return failure(endpoint, `failed inside (${status})`, 'See its log, and that of a proxy in front of it.');
  }
  return failure(endpoint, `answered with the unexpected status ${status}`, CHECK_URL);
}

/** The error for a body that is not of the protocol's format. */
export function wrongFormat(endpoint: Endpoint, body: Buffer, expected: string): AutotorrentError {
  const start = body.subarray(0, 512).toString('latin1').trimStart().toLowerCase();
  const found =
    start === ''
      ? 'with nothing'
      : start.startsWith('<!doctype html') || start.startsWith('<html')
        ? 'with a web page'
        : 'with something else';
  return failure(endpoint, `answered ${found} instead of ${expected}`, CHECK_URL);
}
