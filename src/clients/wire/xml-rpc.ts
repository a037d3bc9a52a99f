/**
 * XML-RPC calls and replies as bytes. The package `xmlrpc` writes the calls. Replies are read here, since its reader has no
 * bounds: it keeps whatever arrives, nested as deep as it comes. Of XML, replies need tags without attributes and five
 * entities: everything else (document types, entities of their own, comments, CDATA) is refused, and nothing outside the
 * reply is ever read.
 */
import serializer from 'xmlrpc/lib/serializer.js';
import type { Allowance } from './allowance.ts';
import { Budget, type Steps } from './slices.ts';
import { XmlText } from './xml-text.ts';

export type XmlRpcParam = string | number | Buffer | readonly XmlRpcParam[] | { readonly [name: string]: XmlRpcParam };

/** The fault that the other side answered in place of a value; the message is its `faultString`. */
export class XmlRpcFault extends Error {
  /** Its `faultCode`; undefined where that is no integer. */
  readonly code: number | undefined;

  constructor(code: unknown, text: string) {
    super(text);
    this.name = 'XmlRpcFault';
    // An `<i8>` comes as a string.
    const number = typeof code === 'string' && code !== '' ? Number(code) : code;
    this.code = Number.isSafeInteger(number) ? (number as number) : undefined;
  }
}

export function encodeCall(method: string, params: readonly XmlRpcParam[]): Buffer {
  return Buffer.from(serializer.serializeMethodCall(method, params));
}

/** A list or a struct whose end has not come yet. */
type Open =
  | { readonly list: unknown[] }
  | {
      readonly list?: undefined;
      readonly struct: Record<string, unknown>;
      /** Of the value that comes next. */
      name: string;
      names: number;
    };

/**
 * Gives the value of a reply: an `<i8>` and a date as a string, an `<int>` as a number, a struct as an object.
 * @throws XmlRpcFault for a fault, SyntaxError for what is no XML-RPC reply, Excess for more than is allowed
 */
export function* replySteps(body: Buffer, allowed: Allowance): Steps<unknown> {
  const xml = new XmlText(body);
  xml.skipDeclaration();
  xml.requires('methodResponse');
  if (xml.takes('fault')) {
    const fault = yield* valueSteps(xml, new Budget(allowed));
    xml.requires('/fault');
    xml.requires('/methodResponse');
    xml.end();
    throw faultOf(fault) ?? new SyntaxError('a fault without a code');
  }
  xml.requires('params');
  xml.requires('param');
  const value = yield* valueSteps(xml, new Budget(allowed));
  for (const tag of ['/param', '/params', '/methodResponse']) xml.requires(tag);
  xml.end();
  return value;
}

/** The fault in a reply, or in a struct of `system.multicall`'s answer. */
export function faultOf(value: unknown): XmlRpcFault | undefined {
  if (typeof value !== 'object' || value === null || !('faultCode' in value)) return undefined;
  const text = 'faultString' in value && typeof value.faultString === 'string' ? value.faultString : 'no reason given';
  return new XmlRpcFault(value.faultCode, text);
}

function* valueSteps(xml: XmlText, budget: Budget): Steps<unknown> {
  const open: Open[] = [];
  for (;;) {
    if (budget.value()) yield;
    let value: unknown;
    if (xml.takes('value/')) value = '';
    else {
      xml.requires('value');
      const found = beginning(xml, budget, open.length);
      if ('open' in found) {
        open.push(found.open);
        continue;
      }
      ({ value } = found);
      xml.requires('/value');
    }
    // A value has ended, and with it, perhaps, those around it.
    for (;;) {
      const last = open.at(-1);
      if (last === undefined) return value;
      if (last.list !== undefined) {
        last.list.push(value);
        if (!xml.takes('/data')) break;
        xml.requires('/array');
        value = last.list;
      } else {
        last.struct[last.name] = value;
        xml.requires('/member');
        if (!xml.takes('/struct')) {
          last.name = memberName(xml);
          budget.key(++last.names, last.name);
          break;
        }
        value = last.struct;
      }
      xml.requires('/value');
      open.pop();
    }
  }
}

/** What stands in a value: one that ends here, or a list or struct with something in it. */
function beginning(xml: XmlText, budget: Budget, depth: number): { readonly value: unknown } | { readonly open: Open } {
  const text = xml.text();
  if (xml.sees('/value')) return { value: text };
  if (text.trim() !== '') throw new SyntaxError('text beside a tag in a value');
  if (xml.takes('array')) {
    budget.list(depth);
    const list: unknown[] = [];
    if (!xml.takes('data/')) {
      xml.requires('data');
      if (!xml.takes('/data')) return { open: { list } };
    }
    xml.requires('/array');
    return { value: list };
  }
  if (xml.takes('struct/')) return { value: {} };
  if (xml.takes('struct')) {
    budget.list(depth);
    if (xml.takes('/struct')) return { value: {} };
    const name = memberName(xml);
    budget.key(1, name);
    return { open: { struct: {}, name, names: 1 } };
  }
  return { value: scalar(xml) };
}

function memberName(xml: XmlText): string {
  xml.requires('member');
  xml.requires('name');
  const name = xml.text();
  xml.requires('/name');
  return name;
}

function scalar(xml: XmlText): unknown {
  const tag = xml.tag();
  const [, type = '', isEmpty = ''] = /^(?:ex:)?([a-z][a-z0-9.]*)(\/?)$/.exec(tag) ?? [];
  const text = isEmpty === '' ? xml.text() : '';
  if (isEmpty === '') xml.requires(`/${tag}`);
  switch (type) {
    case 'string':
    case 'dateTime.iso8601':
      return text;
    case 'i8':
      if (/^-?\d{1,20}$/.test(text)) return text;
      break;
    case 'int':
    case 'i4':
      if (/^[-+]?\d{1,20}$/.test(text)) return Number(text);
      break;
    case 'double':
      if (/^[-+]?[\d.]{1,40}(?:[eE][-+]?\d{1,4})?$/.test(text) && Number.isFinite(Number(text))) return Number(text);
      break;
    case 'boolean':
      if (text === '0' || text === '1') return text === '1';
      break;
    case 'base64':
      return Buffer.from(text, 'base64');
    case 'nil':
      return null;
    default:
      throw new SyntaxError('a value of an unknown type');
  }
  throw new SyntaxError(`a value that is no ${type}`);
}
