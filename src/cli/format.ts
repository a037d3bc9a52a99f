/** Formats values for people. */
import { printable } from '../logger.ts';

/** Quotes a name on one line like Python's repr, as scripts of the original's users expect. */
export function quoted(name: string): string {
  const quote = name.includes("'") && !name.includes('"') ? '"' : "'";
  const escaped = printable(name.replaceAll('\\', '\\\\')).replaceAll('\t', '\\t').replaceAll('\\x0a', '\\n');
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}

/** Counts the terminal columns of a text, nearly: East Asian wide characters take two, combining marks none. */
export function columns(text: string): number {
  let width = 0;
  for (const char of text) {
    if (/\p{Mn}|\p{Me}|\p{Cf}/u.test(char)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}]|[\u{20000}-\u{3fffd}]/u.test(
        char,
      )
        ? 2
        : 1;
  }
  return width;
}

/**
 * Formats rows under a heading, with two spaces between columns; numbers (by `right`) are flush right. Without a
 * heading: no rows.
 */
export function table(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  right: ReadonlySet<number> = new Set(),
): string {
  const all = [heading, ...rows].map((row) => row.map(printable));
  const widths = heading.map((_, i) => Math.max(...all.map((row) => columns(row[i] ?? ''))));
  return all
    .map((row) =>
      row
        .map((cell, i) => {
          const space = ' '.repeat((widths[i] ?? 0) - columns(cell));
          return right.has(i) ? space + cell : cell + space;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
