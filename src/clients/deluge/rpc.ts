/** Calls to Deluge, whatever carries them: the daemon's own protocol, or the web interface, which speaks to a daemon. */
import type { AutotorrentError } from '../../errors.ts';
import type { Allowance } from '../wire/allowance.ts';
import { type Endpoint, failure, quoted } from '../wire/exchange.ts';
import type { Rencodable } from '../wire/rencode.ts';

export interface DelugeCall {
  readonly method: string;
  readonly args: readonly Rencodable[];
  /** Of its answer. Default: `SHORT`. */
  readonly allowed?: Allowance;
}

/** `type`: the name of Deluge's exception; through the web interface its number. */
export interface DelugeError {
  readonly type: string;
  readonly message: string;
}

export type DelugeAnswer = { readonly result: unknown } | { readonly error: DelugeError };

export interface DelugeRpc {
  readonly endpoint: Endpoint;
  /** One answer a call, in their order. @throws AutotorrentError('CLIENT') where Deluge cannot be talked to */
  calls(calls: readonly DelugeCall[]): Promise<DelugeAnswer[]>;
  /** Makes the methods of a plugin known that was just enabled. */
  learnMethods(): Promise<void>;
  close(): Promise<void>;
}

/** Makes one call and gives its result. @throws AutotorrentError('CLIENT') also where Deluge refuses */
export async function ask(rpc: DelugeRpc, method: string, ...args: readonly Rencodable[]): Promise<unknown> {
  return await result(rpc, { method, args });
}

/** Does the same for a call that says how long its answer may be. */
export async function askFor(
  rpc: DelugeRpc,
  allowed: Allowance,
  method: string,
  ...args: readonly Rencodable[]
): Promise<unknown> {
  return await result(rpc, { method, args, allowed });
}

async function result(rpc: DelugeRpc, call: DelugeCall): Promise<unknown> {
  const [answer] = await rpc.calls([call]);
  if (answer === undefined) throw failure(rpc.endpoint, 'did not answer what it was asked');
  if ('error' in answer) throw refusal(rpc.endpoint, call.method, answer.error.message);
  return answer.result;
}

export function refusal(endpoint: Endpoint, method: string, message: string): AutotorrentError {
  return failure(endpoint, `refused ${method}: ${quoted(message)}`);
}
