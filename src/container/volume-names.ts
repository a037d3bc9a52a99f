/**
 * How the volumes of a RAR set are called: `x.rar, x.r00 … x.r99, x.s00 …` or `x.part1.rar, x.part2.rar …` with any number
 * of digits. Names are byte strings: one character a byte.
 */
const FIRST = /\.(?:rar|zip)$/i;
const PART = /\.part([0-9]{1,9})\.rar$/i;
const OLD_STYLE = /\.([r-z])([0-9]{2})$/i;

/** Whether an archive may begin in a file of this name. */
export function isFirstVolume(name: string): boolean {
  if (!FIRST.test(name)) return false;
  const part = PART.exec(name)?.[1];
  return part === undefined || Number(part) === 1;
}

/** What the volume after this one may be called, the likeliest first; nothing where none can follow. */
export function nextVolumeNames(name: string): readonly string[] {
  const part = PART.exec(name);
  const digits = part?.[1];
  if (part !== null && digits !== undefined) {
    const from = part.index + '.part'.length;
    const next = String(Number(digits) + 1).padStart(digits.length, '0');
    return [name.slice(0, from) + next + name.slice(from + digits.length)];
  }
  const old = OLD_STYLE.exec(name);
  const stem = name.slice(0, -3);
  if (old !== null) {
    const letter = old[1] ?? 'r';
    const number = Number(old[2]);
    if (number < 99) return [stem + letter + String(number + 1).padStart(2, '0')];
    return letter.toLowerCase() === 'z' ? [] : [`${stem}${String.fromCharCode(letter.charCodeAt(0) + 1)}00`];
  }
  if (!/\.rar$/i.test(name)) return [];
  return name.endsWith('R') ? [`${stem}R00`, `${stem}r00`] : [`${stem}r00`, `${stem}R00`];
}
