/** What Deluge is asked, whatever carries it: the daemon's own protocol, or the web interface that speaks to a daemon. */
import type { AutotorrentError } from '../../errors.ts';
import { type Endpoint, failure, quoted } from '../wire/exchange.ts';
import type { Rencodable } from '../wire/rencode.ts';

export interface DelugeCall {
  readonly method: string;
  readonly args: readonly Rencodable[];
}

/** The name of its exception, where it tells one, and what it says. */
export interface DelugeError {
  readonly type: string;
  readonly message: string;
}

export type DelugeAnswer = { readonly result: unknown } | { readonly error: DelugeError };

export interface DelugeRpc {
  readonly endpoint: Endpoint;
  /** One answer a call, in their order. Throws `AutotorrentError('CLIENT')` where it cannot be talked to. */
  calls(calls: readonly DelugeCall[]): Promise<DelugeAnswer[]>;
  /** After a plugin was enabled: its methods are known from then on. */
  learnMethods(): Promise<void>;
  close(): Promise<void>;
}

/** The result of one call. @throws AutotorrentError('CLIENT') also where Deluge refuses */
export async function ask(rpc: DelugeRpc, method: string, ...args: readonly Rencodable[]): Promise<unknown> {
  const [answer] = await rpc.calls([{ method, args }]);
  if (answer === undefined) throw failure(rpc.endpoint, 'did not answer what it was asked');
  if ('error' in answer) throw refusal(rpc.endpoint, method, answer.error.message);
  return answer.result;
}

export function refusal(endpoint: Endpoint, method: string, message: string): AutotorrentError {
  return failure(endpoint, `refused ${method}: ${quoted(message)}`);
}
