/** Lines of output that hold more than plain text: colours, columns. */
import { printable } from '../printable.ts';

export type Colour = 'green' | 'red' | 'blue' | 'yellow' | 'magenta' | 'dim';

const SGR: Readonly<Record<Colour, number>> = { green: 92, red: 91, blue: 94, yellow: 93, magenta: 95, dim: 2 };

/** Text that a terminal prints as it is. This file alone makes it, from text that it escapes. */
export class Markup {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  static plain(text: string): Markup {
    return new Markup(printable(text));
  }

  static painted(colour: Colour, text: string): Markup {
    return new Markup(`\x1b[${SGR[colour]}m${printable(text)}\x1b[0m`);
  }

  /** Joins the parts of a line, without spaces at its end. */
  static trimmed(line: Line): Markup {
    return new Markup(rendered(line).trimEnd());
  }

  toString(): string {
    return this.#text;
  }
}

/** A line as it is handed to the terminal, which escapes all of it that is no `Markup`. */
export type Line = string | Markup | readonly (string | Markup)[];

export function rendered(line: Line): string {
  if (typeof line === 'string') return printable(line);
  if (line instanceof Markup) return line.toString();
  return line.map(rendered).join('');
}
