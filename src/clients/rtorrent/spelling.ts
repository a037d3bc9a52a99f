/**
 * How rTorrent spells a text in its replies, which is not always how it uses it (seen with 0.9.8 and xmlrpc-c 1.33):
 * a text with a character beyond U+FFFF has a `?` for each byte that is not ASCII, in all of it; a CR becomes a LF.
 * The files that it opens have the right bytes.
 */
export function isSpellingOf(reply: string, text: string): boolean {
  return reply === text || reply === spelling(text);
}

/**
 * Makes `text` a parameter. Text with characters that xmlrpc-c refuses in a string (beyond U+FFFF) or that XML changes
 * (control characters) goes as base64, which rTorrent takes for any string but the info hash.
 */
export function asParam(text: string): string | Buffer {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  // oxlint-disable-next-line no-control-regex
  return /[\u{10000}-\u{10ffff}\0-\x1f]/u.test(text) ? Buffer.from(text) : text;
}

/** How a reply begins whose text begins with `text`, if it has a character beyond U+FFFF anywhere. */
export function spellingOfPart(text: string): string {
  return asQuestionMarks(text.replaceAll('\r', '\n'));
}

function spelling(text: string): string {
  const lines = text.replaceAll('\r', '\n');
  return /[\u{10000}-\u{10ffff}]/u.test(lines) ? asQuestionMarks(lines) : lines;
}

function asQuestionMarks(lines: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is meant, all of it
  // oxlint-disable-next-line no-control-regex
  return lines.replaceAll(/[^\0-\x7f]/gu, (c) => '?'.repeat(Buffer.byteLength(c)));
}
