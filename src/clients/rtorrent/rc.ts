/**
 * Where an `rtorrent.rc` has rTorrent listen. Only what such a file commonly says is understood: plain values, and
 * `(cat,…)` of texts, of `(session.path)` and of names that `method.insert` gave a text.
 */

export interface ScgiPlace {
  /** `local`: a socket's path, which may begin with `~`. `port`: `host:port`. */
  readonly kind: 'local' | 'port';
  /** Undefined where it is an expression that is not understood. */
  readonly value: string | undefined;
  /** From 1. */
  readonly line: number;
}

const COMMANDS: Readonly<Record<string, ScgiPlace['kind']>> = {
  'network.scgi.open_local': 'local',
  scgi_local: 'local',
  'network.scgi.open_port': 'port',
  scgi_port: 'port',
};

/** Characters of a line that is looked at: no line that says where rTorrent listens is longer. */
const LONGEST_LINE = 4096;

/** Undefined where the file opens no endpoint. The last one stands: rTorrent would refuse a second. */
export function scgiPlaceOf(text: string): ScgiPlace | undefined {
  const known = new Map<string, string>();
  let found: ScgiPlace | undefined;
  for (const [i, raw] of text.split('\n').entries()) {
    if (raw.length > LONGEST_LINE) continue;
    const match = /^\s*([\w.]+)\s*=\s*(.*?)\s*$/.exec(raw);
    const [, command = '', value = ''] = match ?? [];
    if (command === 'session.path.set' || command === 'session') remember(known, 'session.path', value);
    if (command === 'method.insert') {
      const [, name = '', inner = ''] = /^([\w.]+)\s*,\s*[\w|]+\s*,\s*(.*)$/.exec(value) ?? [];
      remember(known, name, inner);
    }
    const kind = COMMANDS[command];
    if (kind !== undefined) found = { kind, value: evaluated(value, known), line: i + 1 };
  }
  return found;
}

function remember(known: Map<string, string>, name: string, expression: string): void {
  const value = evaluated(expression, known);
  if (name !== '' && value !== undefined) known.set(name, value);
}

/** A text, quoted or not, or `(cat,a,b)`; undefined where anything else stands in it. */
function evaluated(expression: string, known: ReadonlyMap<string, string>): string | undefined {
  const reader = new Reader(expression, known);
  const value = reader.value();
  return reader.atEnd ? value : undefined;
}

class Reader {
  readonly #text: string;
  readonly #known: ReadonlyMap<string, string>;
  #at = 0;

  constructor(text: string, known: ReadonlyMap<string, string>) {
    this.#text = text;
    this.#known = known;
  }

  get atEnd(): boolean {
    return this.#text.slice(this.#at).trim() === '';
  }

  value(): string | undefined {
    this.#skip(/\s*/y);
    if (this.#skip(/\(/y) !== undefined) return this.#call();
    const quoted = this.#skip(/"(?:[^"\\]|\\.)*"/y);
    if (quoted !== undefined) return quoted.slice(1, -1).replaceAll(/\\(.)/g, '$1');
    return this.#skip(/[^\s(),"]+/y);
  }

  #call(): string | undefined {
    const name = this.#skip(/\s*[\w.]+/y)?.trim() ?? '';
    const values: (string | undefined)[] = [];
    while (this.#skip(/\s*,/y) !== undefined) values.push(this.value());
    if (this.#skip(/\s*\)/y) === undefined) return undefined;
    if (name === 'cat') return values.includes(undefined) ? undefined : values.join('');
    return values.length === 0 ? this.#known.get(name) : undefined;
  }

  #skip(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}
