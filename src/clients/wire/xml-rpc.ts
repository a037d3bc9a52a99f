/**
 * XML-RPC calls as bytes, through the serializer and deserializer of the `xmlrpc` package. The package's own client
 * speaks no SCGI and knows no limits, so the transports are ours.
 */
import Deserializer, { type Source } from 'xmlrpc/lib/deserializer.js';
import serializer from 'xmlrpc/lib/serializer.js';

export type XmlRpcParam = string | number | Buffer | readonly XmlRpcParam[] | { readonly [name: string]: XmlRpcParam };

/** The fault that the other side answered in place of a value; the message is its `faultString`. */
export class XmlRpcFault extends Error {
  /** Its `faultCode`; undefined where that is no integer. */
  readonly code: number | undefined;

  constructor(code: unknown, text: string) {
    super(text);
    this.name = 'XmlRpcFault';
    // Where it is an `<i8>`, the package gives a string.
    const number = typeof code === 'string' && code !== '' ? Number(code) : code;
    this.code = Number.isSafeInteger(number) ? (number as number) : undefined;
  }
}

export function encodeCall(method: string, params: readonly XmlRpcParam[]): Buffer {
  return Buffer.from(serializer.serializeMethodCall(method, params));
}

/**
 * The value of a reply: `<i8>` comes as a string, `<int>` as a number (both from the package), a struct as an object.
 * Throws `XmlRpcFault` for a fault and `Error` for what is no XML-RPC reply.
 */
export function decodeReply(body: Buffer): unknown {
  let outcome: { error: unknown; value?: unknown } | undefined;
  // Fed at once rather than piped: the package throws from inside its parser's events on hostile input (a fault
  // without a value), which would end the process if it came from a stream.
  const source: Source = {
    setEncoding() {},
    on() {},
    pipe(parser) {
      parser.write(body.toString('utf8'));
      parser.end();
    },
  };
  new Deserializer().deserializeMethodResponse(source, (error, value) => {
    outcome ??= { error, value };
  });
  if (outcome === undefined) throw new Error('the reply has no value');
  if (outcome.error === null || outcome.error === undefined) return outcome.value;
  throw faultOf(outcome.error) ?? outcome.error;
}

/** The fault in an error of the package, or in a struct of `system.multicall`'s answer. */
export function faultOf(value: unknown): XmlRpcFault | undefined {
  if (typeof value !== 'object' || value === null || !('faultCode' in value)) return undefined;
  const text = 'faultString' in value && typeof value.faultString === 'string' ? value.faultString : 'no reason given';
  return new XmlRpcFault(value.faultCode, text);
}
