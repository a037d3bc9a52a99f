/**
 * Makes text from elsewhere fit to be shown: names, paths, and what clients, trackers and torrents say. None of it can
 * drive a terminal, turn the direction of a line, hide, or begin a line of its own in a log.
 *
 * The terminal and the logger call this for whatever they print, so a message needs not. JSON has a way of its own.
 */

/**
 * A character that does something other than stand in its place: controls (C0, DEL, C1), halves of a surrogate pair, line
 * and paragraph separators, annotation marks, and whatever Unicode shows as nothing: bidi controls, zero-width characters,
 * tags. Variation selectors after a pictograph stay, since they only choose its look; combining marks stay.
 */
const ACTIVE =
  '[\\p{Cc}\\p{Cs}\\p{Zl}\\p{Zp}\\ufff9-\\ufffb]' +
  '|(?<!\\p{Extended_Pictographic})[\\ufe0e\\ufe0f]' +
  '|(?![\\ufe0e\\ufe0f])\\p{Default_Ignorable_Code_Point}';
const ACTIVE_ONE = new RegExp(ACTIVE, 'u');
const ACTIVE_ALL = new RegExp(ACTIVE, 'gu');
/** Backslashes that would be read as the beginning of an escape, or that stand before one. */
const AMBIGUOUS = new RegExp(`(?<!\\\\)\\\\+(?=x[0-9a-f]{2}|u\\{[0-9a-f]{1,6}\\}|${ACTIVE})`, 'gu');

/** The most UTF-16 units that are shown on a line: room for two of the longest paths of Linux and a sentence. */
export const LINE_LIMIT = 16_384;

/**
 * Gives `text` on one line, with active characters as `\x1b` or `\u{202e}`. Backslashes before such a sequence are doubled,
 * so two different texts never look the same: applied twice it escapes twice. Text beyond the limit is cut off and counted.
 */
export function printable(text: string, limit: number = LINE_LIMIT): string {
  if (text.length > limit) {
    // No pair of surrogates is cut in two.
    const end = /[\ud800-\udbff]/.test(text.charAt(limit - 1)) ? limit - 1 : limit;
    return `${printable(text.slice(0, end), limit)}… (${text.length - end} more characters)`;
  }
  const doubled = text.includes('\\') ? text.replaceAll(AMBIGUOUS, (run) => run + run) : text;
  return ACTIVE_ONE.test(doubled) ? doubled.replaceAll(ACTIVE_ALL, escaped) : doubled;
}

/**
 * Gives a value as JSON, on one line unless `indent` is given, with active characters in its strings as `\u202e`. A parser
 * reads the same value.
 */
export function jsonText(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, null, indent);
  // Line feeds outside strings; JSON.stringify escapes those inside.
  return text.replaceAll(ACTIVE_ALL, (char) => (char === '\n' ? char : jsonEscaped(char)));
}

function escaped(char: string): string {
  const point = char.codePointAt(0) ?? 0;
  return point < 0x100 ? `\\x${point.toString(16).padStart(2, '0')}` : `\\u{${point.toString(16)}}`;
}

function jsonEscaped(char: string): string {
  return char
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('');
}
