/**
 * Calls to a Deluge daemon itself: its address, the login, one connection that is opened by the first call and kept.
 *
 * The login goes to nobody but the daemon that it is for (`identity.ts`).
 *
 * Calls go one after the other; a request may hold many, which are answered one by one.
 */
import { readSmallFile } from '../../bytes/read-file.ts';
import { AutotorrentError, errnoOf, messageOf } from '../../errors.ts';
import { shownUrl } from '../../shown-url.ts';
import { type ClientOptions, type Endpoint, endpointOf, failure, quoted } from '../wire/exchange.ts';
import { KnownDaemons } from '../wire/known-daemons.ts';
import { accountIn, type DelugeAccount, LARGEST_AUTH_FILE, ownAuthFiles } from './account.ts';
import { DelugeConnection } from './connection.ts';
import { DaemonIdentity, type LoginSource } from './identity.ts';
import type { DelugeAnswer, DelugeCall, DelugeError, DelugeRpc } from './rpc.ts';
import { DEFAULT_PORT, daemonTarget } from './target.ts';

export interface DelugeAddress {
  /** `host:port`, or a host alone. */
  readonly host: string;
  readonly username?: string;
  readonly password?: string;
  /** The file of the daemons that are known by their certificates; if it is absent, none is remembered. */
  readonly knownDaemons?: string;
}

interface Login extends DelugeAccount {
  readonly source: LoginSource;
}

const BAD_LOGINS: ReadonlySet<string> = new Set(['BadLoginError', 'AuthenticationRequired']);
const CLIENT_VERSION = '2.0.3';
const CORRECT = 'Correct them in the [client] section: its auth file has user:password:level on each line.';

/**
 * Does not connect yet. `authFiles`: read for an account, one after the other, where `address` has none.
 * @throws AutotorrentError('CONFIG') for a host of no known form
 */
export function connectDaemon(
  address: DelugeAddress,
  options: ClientOptions,
  authFiles: (host: string) => readonly string[] = ownAuthFiles,
): DelugeRpc {
  const target = daemonTarget(address.host);
  if (target === undefined) {
    throw new AutotorrentError('CONFIG', `client: host: ${quoted(shownUrl(address.host))} is no address of a Deluge`, {
      hint: `Write 127.0.0.1:${DEFAULT_PORT}.`,
    });
  }
  const { host, port } = target;
  const endpoint = endpointOf('Deluge', `${host.includes(':') ? `[${host}]` : host}:${port}`, options);
  return new DaemonRpc(endpoint, target, address, authFiles(host));
}

class DaemonRpc implements DelugeRpc {
  readonly endpoint: Endpoint;
  readonly #host: string;
  readonly #port: number;
  readonly #address: DelugeAddress;
  readonly #authFiles: readonly string[];
  readonly #identity: DaemonIdentity;
  /** The auth files that gave no account, and why: for the message. */
  #useless: string[] = [];
  #connection: Promise<DelugeConnection> | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    endpoint: Endpoint,
    { host, port }: { readonly host: string; readonly port: number },
    address: DelugeAddress,
    authFiles: readonly string[],
  ) {
    this.endpoint = endpoint;
    this.#host = host;
    this.#port = port;
    this.#address = address;
    this.#authFiles = authFiles;
    this.#identity = new DaemonIdentity(endpoint, new KnownDaemons(address.knownDaemons));
  }

  calls(calls: readonly DelugeCall[]): Promise<DelugeAnswer[]> {
    const turn = this.#last.then(async () => {
      // The connection may have ended while nothing was asked: the daemon was restarted, or closed it.
      if ((await this.#connection?.catch(() => undefined))?.hasEnded === true) await this.close();
      this.#connection ??= this.#connected();
      try {
        const connection = await this.#connection;
        return await connection.request(calls);
      } catch (error) {
        // A late answer to this request could be taken for the answer to the next.
        await this.close();
        throw error;
      }
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async learnMethods(): Promise<void> {}

  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    (await connection?.catch(() => undefined))?.end();
  }

  async #connected(): Promise<DelugeConnection> {
    const connection = await DelugeConnection.open(this.endpoint, this.#host, this.#port);
    try {
      const { fingerprint } = connection;
      let refused: AutotorrentError | undefined;
      for await (const { username, password, source } of this.#logins()) {
        let isFirstSeen: boolean;
        try {
          isFirstSeen = this.#identity.isFirstSeen(fingerprint, source);
        } catch (error) {
          if (!(error instanceof AutotorrentError)) throw error;
          refused ??= error;
          continue;
        }
        const [answer] = await connection.request([{ method: 'daemon.login', args: [username, password] }], {
          client_version: CLIENT_VERSION,
        });
        if (answer === undefined || !('error' in answer)) {
          if (isFirstSeen) this.#identity.remember(fingerprint);
          await this.endpoint.listener?.look(connection.socket);
          return connection;
        }
        refused = this.#refused(answer.error);
        if (!BAD_LOGINS.has(answer.error.type)) break;
      }
      throw refused ?? this.#noAccount();
    } catch (error) {
      connection.end();
      throw error;
    }
  }

  /** The account of the configuration; else those of the auth files, some of which may be left from another daemon. */
  async *#logins(): AsyncGenerator<Login> {
    const { username, password = '' } = this.#address;
    if (username !== undefined) {
      yield { username, password, source: { authFiles: this.#authFiles } };
      return;
    }
    this.#useless = [];
    for (const file of this.#authFiles) {
      try {
        const account = accountIn(readSmallFile(file, LARGEST_AUTH_FILE).toString());
        if (account === undefined) this.#useless.push(`${file} has none`);
        else yield { ...account, source: { authFile: file } };
      } catch (error) {
        const why = errnoOf(error) === 'ENOENT' ? 'is not there' : `cannot be read (${messageOf(error)})`;
        this.#useless.push(`${file} ${why}`);
      }
    }
  }

  #noAccount(): AutotorrentError {
    const looked = this.#useless.map((file) => `; ${file}`).join('');
    const hint = `Add username and password to the [client] section${looked}.`;
    return failure(this.endpoint, 'wants a user name and a password', hint);
  }

  #refused({ type, message }: DelugeError): AutotorrentError {
    if (BAD_LOGINS.has(type)) {
      return failure(this.endpoint, `refused the user name and password: ${quoted(message)}`, CORRECT);
    }
    if (type === 'IncompatibleClient')
      return failure(this.endpoint, 'is of an unknown version: autotorrent knows 2.0 and later');
    return failure(this.endpoint, `refused the login: ${quoted(message)}`);
  }
}
