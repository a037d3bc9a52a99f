/** Formats quantities for people, in messages of use cases and in commands' output. */

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Shows bytes as `4.2 MB`: decimal units with one decimal place, as the original printed them; whole bytes without. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 999.95 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  if (unit === 0) return count === 1 ? '1 byte' : `${count} bytes`;
  return `${value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

/** Shows a number of files as `1 file` or `3 files`. */
export function fileCount(count: number): string {
  return count === 1 ? '1 file' : `${count} files`;
}

/** Shows a share as `93.12%`; never rounds up to 100 while something is missing. */
export function percent(part: number, whole: number): string {
  if (whole === 0) return '100.00%';
  return `${(Math.floor((part / whole) * 10_000) / 100).toFixed(2)}%`;
}

/** Shows a time as `2026-11-30 09:34 UTC`. */
export function minute(time: Date): string {
  return `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** Shows a duration as `1d 2h`, `3m 4s` or `120ms`: the two largest units, milliseconds below a second. */
export function duration(seconds: number): string {
  if (seconds > 0 && seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))}ms`;
  const total = Math.max(0, Math.round(seconds));
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(total / 86_400), 'd'],
    [Math.floor(total / 3600) % 24, 'h'],
    [Math.floor(total / 60) % 60, 'm'],
    [total % 60, 's'],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  if (first === -1) return '0s';
  return parts
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n}${unit}`)
    .join(' ');
}
