/** The keys of each section: their values, their defaults, and those that do not exist yet. */
import { availableParallelism } from 'node:os';
import * as v from 'valibot';
import { SCAN_MODES } from './config.ts';
import {
  byteCount,
  daysOrForever,
  freeText,
  hashLimit,
  listOf,
  octalMask,
  oneOf,
  path,
  pathMap,
  patternList,
  percentage,
  protection,
  scrubTime,
  url,
  wholeNumber,
  yesNoAuto,
} from './values.ts';

/**
 * Keys and values that this version refuses because a later one will take them: ignoring them would do something else
 * than the user asked for.
 */

/** The link kinds of the original: its README names `reflink`, its code took `ref`. */
export const OLD_LINK_TYPES: readonly string[] = ['soft', 'hard', 'ref', 'reflink'];

const SCAN_MODES_ACCEPTED = `accepted: one or more of ${SCAN_MODES.join(', ')}, separated by commas`;

const scanModes = v.pipe(
  v.string(),
  v.rawTransform<string, (typeof SCAN_MODES)[number][]>(({ dataset, addIssue, NEVER }) => {
    const names = listOf(dataset.value.toLowerCase());
    const unknown = names.find((name) => !(SCAN_MODES as readonly string[]).includes(name));
    if (unknown !== undefined) addIssue({ message: `there is no scan mode ${unknown}; ${SCAN_MODES_ACCEPTED}` });
    else if (names.length === 0) addIssue({ message: SCAN_MODES_ACCEPTED });
    else return SCAN_MODES.filter((mode) => names.includes(mode));
    return NEVER;
  }),
);

const driver = oneOf(['auto', 'kernel', 'fuse-native']);

/** Defaults are written as in the file. */
export const general = v.object({
  db: v.optional(path, 'autotorrent.db'),
  store_path: path,
  state_path: v.optional(path),
  ignore_files: v.optional(patternList, ''),
  settle: v.optional(wholeNumber(0, 86_400), '0'),
  add_limit_size: v.optional(byteCount, '64000000'),
  add_limit_percent: v.optional(percentage, '1'),
  scan_mode: v.optional(scanModes, 'unsplitable,normal'),
  link_type: v.optional(oneOf(['virtual', ...OLD_LINK_TYPES]), 'virtual'),
  exact_target: v.optional(oneOf(['mount', 'original']), 'mount'),
  verify: v.optional(oneOf(['auto', 'none', 'probe', 'full']), 'auto'),
  // Two readers keep one disk busy; readers beyond the number of cores only wait for each other.
  hash_readers: v.optional(wholeNumber(1, 64), () => String(Math.min(4, availableParallelism()))),
  hash_size_varying: v.optional(percentage, '10'),
  // A hundred torrents without any match among 23,000 files of one size should take less than a minute.
  hash_limit: v.optional(hashLimit, '12, 128 MiB'),
  driver: v.optional(driver, 'auto'),
  allow_other: v.optional(yesNoAuto, 'auto'),
  owner: v.optional(freeText),
  umask: v.optional(octalMask, '022'),
  show_links: v.optional(oneOf(['on', 'off']), 'on'),
  path_map: v.optional(pathMap, ''),
  verify_reads: v.optional(oneOf(['suspect', 'first', 'off']), 'suspect'),
  passthrough: v.optional(oneOf(['auto', 'safe', 'off']), 'auto'),
  // The budget of descriptors never has more than so many.
  hold_sources: v.optional(wholeNumber(0, 4096), '512'),
  scrub: v.optional(scrubTime, 'idle'),
  scrub_days: v.optional(wholeNumber(0, 36_500), '90'),
  recover: v.optional(oneOf(['on', 'off']), 'on'),
  on_loss: v.optional(oneOf(['repair', 'tell']), 'repair'),
  repair_limit: v.optional(byteCount, '1 GB'),
  rescue_limit: v.optional(byteCount, '64 MB'),
  rescue_total: v.optional(byteCount, '2 GB'),
  protect: v.optional(protection, 'off'),
  protect_days: v.optional(daysOrForever, '14'),
  fast_resume: v.optional(oneOf(['verified', 'never', 'trust']), 'verified'),
});

const rtorrentUrl = url('scgi://host:port, scgi:///path/to.socket or http(s)://host/RPC2', true);
const transmissionUrl = url('http(s)://host:port/transmission/rpc', false);

const delugeUrl = url('http(s)://host:port of the web interface; host names the daemon', false);
const qbittorrentUrl = url('http(s)://host:port', false);

/** The keys of a client's section besides `client`. */
export const clients = {
  rtorrent: v.object({ url: rtorrentUrl, label: v.optional(freeText) }),
  transmission: v.object({
    url: transmissionUrl,
    username: v.optional(freeText),
    password: v.optional(freeText),
    label: v.optional(freeText),
  }),
  deluge: v.object({
    host: v.optional(freeText),
    url: v.optional(delugeUrl),
    username: v.optional(freeText),
    password: v.optional(freeText),
    label: v.optional(freeText),
  }),
  qbittorrent: v.object({
    url: qbittorrentUrl,
    username: v.optional(freeText),
    password: v.optional(freeText),
    category: v.optional(freeText),
    tags: v.optional(freeText),
  }),
  none: v.object({}),
} as const;

export type ClientName = keyof typeof clients;
export const CLIENT_NAMES: readonly ClientName[] = ['rtorrent', 'deluge', 'transmission', 'qbittorrent', 'none'];
