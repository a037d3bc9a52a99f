/** Reads the tags and the text of an XML-RPC reply. */
import { Excess, LONGEST_TEXT } from './slices.ts';

const LONGEST_TAG = 64;
const LONGEST_DECLARATION = 256;
const LESS = 0x3c;
const GREATER = 0x3e;
const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** Tags are given without their brackets: `value`, `/value`, `value/`. */
export class XmlText {
  readonly #bytes: Buffer;
  #at = 0;
  /** The tag that begins at `#at`, once it was looked at, and where it ends. */
  #seen: { readonly tag: string; readonly end: number } | undefined;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  skipDeclaration(): void {
    this.#skipBlanks();
    if (this.#bytes.toString('latin1', this.#at, this.#at + 5) !== '<?xml') return;
    const end = this.#bytes.subarray(this.#at, this.#at + LONGEST_DECLARATION).indexOf('?>');
    if (end < 0) throw this.#unexpected();
    this.#at += end + 2;
  }

  /** Whether the next tag is this one; text before it is none but blanks. */
  sees(tag: string): boolean {
    return this.#peek()?.tag === tag;
  }

  /** Goes past the next tag where it is this one: whether it is. */
  takes(tag: string): boolean {
    const seen = this.#peek();
    if (seen?.tag !== tag) return false;
    this.#at = seen.end;
    this.#seen = undefined;
    return true;
  }

  requires(tag: string): void {
    if (!this.takes(tag)) throw this.#unexpected();
  }

  /** Goes past the next tag, whichever it is. */
  tag(): string {
    const seen = this.#peek();
    if (seen === undefined) throw this.#unexpected();
    this.#at = seen.end;
    this.#seen = undefined;
    return seen.tag;
  }

  /** The text up to the next tag. */
  text(): string {
    const end = this.#bytes.indexOf(LESS, this.#at);
    if (end < 0) throw this.#unexpected();
    if (end === this.#at) return '';
    if (end - this.#at > LONGEST_TEXT) throw new Excess(`a text of more than ${LONGEST_TEXT} bytes`);
    const text = this.#bytes.toString('utf8', this.#at, end);
    this.#at = end;
    return text.includes('&') ? text.replaceAll(/&([^;&]{0,10});?/g, entity) : text;
  }

  end(): void {
    this.#skipBlanks();
    if (this.#at < this.#bytes.length) throw this.#unexpected();
  }

  #peek(): { readonly tag: string; readonly end: number } | undefined {
    if (this.#seen !== undefined) return this.#seen;
    this.#skipBlanks();
    if (this.#bytes[this.#at] !== LESS) return undefined;
    let end = this.#at + 1;
    while (this.#bytes[end] !== GREATER) {
      if (end - this.#at > LONGEST_TAG || end >= this.#bytes.length) throw this.#unexpected();
      end += 1;
    }
    const tag = this.#bytes.toString('latin1', this.#at + 1, end).replace(/ +(?=\/?$)/, '');
    this.#seen = { tag, end: end + 1 };
    return this.#seen;
  }

  #skipBlanks(): void {
    const start = this.#at;
    let byte = this.#bytes[this.#at];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
      if (this.#at - start > LONGEST_TEXT) throw new Excess(`more than ${LONGEST_TEXT} blanks at once`);
      byte = this.#bytes[++this.#at];
    }
  }

  #unexpected(): SyntaxError {
    const cutOff = this.#at >= this.#bytes.length;
    return new SyntaxError(cutOff ? 'the XML is cut off' : `not the XML of an answer, at byte ${this.#at}`);
  }
}

function entity(all: string, name: string): string {
  const known = ENTITIES[name];
  const [, hex, decimal] = /^#(?:x([0-9a-fA-F]{1,6})|(\d{1,7}))$/.exec(name) ?? [];
  const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
  if (!all.endsWith(';')) throw new SyntaxError('an & that begins no entity');
  if (known !== undefined && Object.hasOwn(ENTITIES, name)) return known;
  if (code >= 0 && code <= 0x10_ff_ff && !(code >= 0xd800 && code < 0xe000)) return String.fromCodePoint(code);
  throw new SyntaxError('an unknown entity');
}
