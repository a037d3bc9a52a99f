/**
 * The kinds of values in `autotorrent.conf`, as schemas from text to the program's form. Each schema's message says
 * what is accepted; the parser adds file, line, key and the bad value.
 */
import { resolve } from 'node:path';
import * as v from 'valibot';
import type { ScrubTime } from './config.ts';

/** Text of one line, not empty. `accepted` is also the message for a key without a value. */
function text(accepted: string) {
  return v.pipe(
    v.string(accepted),
    v.nonEmpty(accepted),
    v.check((value) => !value.includes('\n'), accepted),
  );
}

/** `parse` returns undefined for text that it does not accept. */
function parsed<T>(accepted: string, parse: (value: string) => T | undefined) {
  return v.pipe(
    text(accepted),
    v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
      const value = parse(dataset.value);
      if (value !== undefined) return value;
      addIssue({ message: accepted });
      return NEVER;
    }),
  );
}

export function oneOf<const T extends string>(names: readonly T[]) {
  const accepted = `accepted: ${names.join(', ')}`;
  return parsed(accepted, (value) => names.find((name) => name === value.toLowerCase()));
}

/** Splits items at commas or lines; trims them and drops empty ones. */
export function listOf(value: string): string[] {
  return value
    .split(/[,\n]/)
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

export const patternList = v.pipe(v.string(), v.transform(listOf));

/** Free text; empty means absent. */
export const freeText = v.pipe(
  v.string(),
  v.check((value) => !value.includes('\n'), 'accepted: text on one line'),
  v.transform((value) => (value === '' ? undefined : value)),
);

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  byte: 1,
  bytes: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

export const byteCount = parsed('accepted: a number of bytes, as 64000000, 64 MB or 1 GiB', parseBytes);

function parseBytes(value: string): number | undefined {
  const parts = /^\+?(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(value);
  const unit = parts?.[2] === '' ? 1 : UNITS[parts?.[2]?.toLowerCase() ?? ''];
  const bytes = unit === undefined ? Number.NaN : Math.floor(Number(parts?.[1]) * unit);
  // 0.5 without a unit is a slip, not half a byte.
  return Number.isSafeInteger(bytes) && (unit !== 1 || !value.includes('.')) ? bytes : undefined;
}

/** The limits of candidates and of bytes without a match; `none` means no limit for both. */
export const hashLimit = parsed(
  'accepted: the most candidates and the most bytes for one file, as 32, 1 GiB; one of the two; or none',
  (value): { readonly candidates: number; readonly bytes: number } | undefined => {
    const most = Number.MAX_SAFE_INTEGER;
    if (value.toLowerCase() === 'none') return { candidates: most, bytes: most };
    const items = listOf(value);
    const counts = items.filter((item) => /^\d{1,9}$/.test(item)).map(Number);
    const sizes = items.filter((item) => !/^\d{1,9}$/.test(item)).map(parseBytes);
    const [candidates = most, bytes = most] = [counts[0], sizes[0]];
    const isSound = items.length > 0 && counts.length <= 1 && sizes.length <= 1 && !sizes.includes(undefined);
    return isSound && candidates > 0 ? { candidates, bytes } : undefined;
  },
);

const PATH_MAP =
  "accepted: pairs of absolute paths, yours = the client's, as /store = /data/store; several separated by commas";

/** Pairs `OWN = CLIENT`, both absolute, separated by commas; normalised, without a slash at the end. May be empty. */
export const pathMap = v.pipe(
  v.string(),
  v.rawTransform<string, { readonly own: string; readonly client: string }[]>(({ dataset, addIssue, NEVER }) => {
    const pairs = listOf(dataset.value).map((pair) => pair.split('=').map((side) => side.trim()));
    const arePairs = pairs.every((sides) => sides.length === 2 && sides.every((side) => side.startsWith('/')));
    // resolve() removes the slashes at the end.
    const map = pairs.map(([own = '', client = '']) => ({ own: resolve(own), client: resolve(client) }));
    if (arePairs && new Set(map.map(({ own }) => own)).size === map.length) return map;
    addIssue({ message: PATH_MAP });
    return NEVER;
  }),
);

export const percentage = parsed('accepted: a percentage from 0, as 1 or 0.5', (value) => {
  const digits = /^\+?(\d+(?:\.\d*)?|\.\d+)\s*%?$/.exec(value)?.[1];
  return digits === undefined ? undefined : Number(digits);
});

export function wholeNumber(least: number, most: number) {
  return parsed(`accepted: a whole number from ${least} to ${most}`, (value) => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
    return number >= least && number <= most ? number : undefined;
  });
}

/** When a scrub runs in the background: never, at any time, or from one minute of the day to another, over midnight, too. */
export const scrubTime = parsed(
  'accepted: off, idle, or a time of day as 02:00-06:30',
  (value): ScrubTime | undefined => {
    const word = value.toLowerCase();
    if (word === 'off' || word === 'idle') return word;
    const [from, to] = (/^(\d{1,2}:\d\d)\s*[-–]\s*(\d{1,2}:\d\d)$/.exec(value) ?? []).slice(1).map(minuteOf);
    return from === undefined || to === undefined || from === to ? undefined : Object.freeze({ from, to });
  },
);

/** Minutes since midnight; undefined for a time that no clock shows. 24:00 is the end of the day. */
function minuteOf(time: string): number | undefined {
  const [hour = 0, minute = 0] = time.split(':').map(Number);
  const sum = hour * 60 + minute;
  return minute < 60 && sum <= 24 * 60 ? sum : undefined;
}

/** How files are pinned: `rescue/kept-files.ts`. */
export const protection = oneOf(['off', 'reflink', 'hardlink']);

/** `forever` is infinity. */
export const daysOrForever = parsed('accepted: a whole number of days from 0 to 36500, or forever', (value) => {
  if (value.toLowerCase() === 'forever') return Number.POSITIVE_INFINITY;
  return /^\d{1,5}$/.test(value) && Number(value) <= 36_500 ? Number(value) : undefined;
});

export const octalMask = parsed('accepted: an octal mask from 000 to 777, as 022', (value) =>
  /^(?:0o)?[0-7]{1,3}$|^0[0-7]{3}$/i.test(value) ? Number.parseInt(value.replace(/^0o/i, ''), 8) : undefined,
);

const BOOLEANS: Readonly<Record<string, boolean>> = {
  1: true,
  yes: true,
  true: true,
  on: true,
  0: false,
  no: false,
  false: false,
  off: false,
};

/** Booleans as in ConfigParser, and `auto`. */
export const yesNoAuto = parsed(
  'accepted: auto, yes, no (also on, off, true, false, 1, 0)',
  (value): { readonly is: boolean | undefined } | undefined => {
    const name = value.toLowerCase();
    if (name === 'auto') return { is: undefined };
    return Object.hasOwn(BOOLEANS, name) ? { is: BOOLEANS[name] } : undefined;
  },
);

/** A path as written; `paths.ts` makes it absolute. */
export const path = v.pipe(
  text('accepted: a path, absolute or relative to the folder of this file'),
  v.check((value) => !value.includes('\0'), 'accepted: a path without NUL characters'),
  v.check((value) => !/^(["']).*\1$/s.test(value), 'accepted: a path without quotes around it'),
  v.check((value) => !/^~[^/]/.test(value), 'accepted: ~/… for your own home folder; others in full'),
);

/** An http or https URL with a host, or for rTorrent also `scgi://host:port` and `scgi:///path/to.socket`. */
export function url(accepted: string, scgi: boolean) {
  return parsed(`accepted: ${accepted}`, (value) => {
    if (/\s/.test(value)) return undefined;
    if (/^https?:\/\//i.test(value)) return isHttpUrl(value) ? value : undefined;
    return scgi && isScgiUrl(value) ? value : undefined;
  });
}

function isHttpUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { hostname, hash } = new URL(value);
  return hostname !== '' && hash === '';
}

function isScgiUrl(value: string): boolean {
  if (/^scgi:\/\/\/./i.test(value)) return true;
  const port = /^scgi:\/\/(?:\[[0-9a-f:.]+\]|[^\s/:@[\]]+):(\d{1,5})\/?$/i.exec(value)?.[1];
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65_535;
}
