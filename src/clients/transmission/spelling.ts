/**
 * How Transmission 3.00 spells a character beyond U+FFFF in its JSON: `\u1f600`, five digits where JSON has four, so
 * that U+1F600 arrives as U+1F60 and `0`. The file that it opens has the right character.
 */
export function spelling(text: string): string {
  return text.replaceAll(/[\u{10000}-\u{10ffff}]/gu, spelled);
}

/** Puts the lost characters back into `reply`, which is a changed form of `own`, the torrent's own name. */
export function restored(reply: string, own: string): string {
  const lost = own.match(/[\u{10000}-\u{10ffff}]/gu);
  // Another version, which spells them right.
  if (lost === null || /[\u{10000}-\u{10ffff}]/u.test(reply)) return reply;
  let result = '';
  let at = 0;
  for (const character of lost) {
    const wrong = spelled(character);
    const found = reply.indexOf(wrong, at);
    if (found === -1) return reply;
    result += reply.slice(at, found) + character;
    at = found + wrong.length;
  }
  return result + reply.slice(at);
}

function spelled(character: string): string {
  const digits = (character.codePointAt(0) ?? 0).toString(16);
  return String.fromCharCode(Number.parseInt(digits.slice(0, 4), 16)) + digits.slice(4);
}
