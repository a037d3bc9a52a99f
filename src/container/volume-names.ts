/**
 * Names the volumes of a RAR set: `x.rar, x.r00 … x.r99, x.s00 …` or `x.part1.rar, x.part2.rar …` with any number
 * of digits. Names are byte strings: one character a byte.
 */
const FIRST = /\.(?:rar|zip)$/i;
const PART = /\.part([0-9]{1,9})\.rar$/i;

/** True where an archive may begin in a file of this name. */
export function isFirstVolume(name: string): boolean {
  if (name.charCodeAt(name.length - 4) !== DOT || !FIRST.test(name)) return false;
  const part = PART.exec(name)?.[1];
  return part === undefined || Number(part) === 1;
}

/**
 * Lists the names that the next volume may have, the likeliest first. Empty where none can follow. Half of a collection may
 * be volumes of the old kind, so these are named without a regular expression.
 */
export function nextVolumeNames(name: string): readonly string[] {
  if (name.charCodeAt(name.length - 4) !== DOT) return [];
  const letter = name.charCodeAt(name.length - 3);
  const number = Number(name.slice(-2));
  const stem = name.slice(0, -3);
  if (isOldLetter(letter) && Number.isInteger(number)) {
    if (number < 9) return [`${stem}${String.fromCharCode(letter)}0${number + 1}`];
    if (number < 99) return [`${stem}${String.fromCharCode(letter)}${number + 1}`];
    return (letter | LOWER) === Z ? [] : [`${stem}${String.fromCharCode(letter + 1)}00`];
  }
  if (!/\.rar$/i.test(name)) return [];
  const part = PART.exec(name);
  const digits = part?.[1];
  if (part === null || digits === undefined) {
    return name.endsWith('R') ? [`${stem}R00`, `${stem}r00`] : [`${stem}r00`, `${stem}R00`];
  }
  const from = part.index + '.part'.length;
  const next = String(Number(digits) + 1).padStart(digits.length, '0');
  return [name.slice(0, from) + next + name.slice(from + digits.length)];
}

const DOT = 0x2e;
const LOWER = 0x20;
const R = 0x72;
const Z = 0x7a;

function isOldLetter(letter: number): boolean {
  return (letter | LOWER) >= R && (letter | LOWER) <= Z;
}
