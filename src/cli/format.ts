/** Formats values for people. */
import { Markup } from './markup.ts';

/** Quotes a name like Python's repr, as scripts of the original's users expect. The terminal escapes the rest of it. */
export function quoted(name: string): string {
  const quote = name.includes("'") && !name.includes('"') ? '"' : "'";
  const escaped = name.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n');
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
 * Formats rows under a heading as lines, with two spaces between columns; numbers (by `right`) are flush right. Without a
 * heading: no rows.
 */
export function table(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  right: ReadonlySet<number> = new Set(),
): Markup[] {
  // Escaped first, since that makes a cell wider.
  const all = [heading, ...rows].map((row) => row.map((cell) => Markup.plain(cell)));
  const widthOf = (cell: Markup | undefined): number => columns(cell?.toString() ?? '');
  const widths = heading.map((_, i) => Math.max(...all.map((row) => widthOf(row[i]))));
  return all.map((row) =>
    Markup.trimmed(
      row.flatMap((cell, i) => {
        const space = ' '.repeat((widths[i] ?? 0) - widthOf(cell));
        const padded = right.has(i) ? [space, cell] : [cell, space];
        return i === 0 ? padded : ['  ', ...padded];
      }),
    ),
  );
}
