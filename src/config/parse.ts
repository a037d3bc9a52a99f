/**
 * Parses the text of `autotorrent.conf` into a `Config`.
 *
 * Nothing is ignored: a key is used; or refused, because this version does not have it yet; or, if it is unknown,
 * reported in a notice with the nearest known name. An error names file, line, section, key, the bad value (never a
 * password) and the accepted values.
 */
import { dirname } from 'node:path';
import * as v from 'valibot';
import { AutotorrentError } from '../errors.ts';
import { shownUrl } from '../shown-url.ts';
import type { ClientConfig, Config, Protection } from './config.ts';
import { type IniEntry, type IniSection, parseIni } from './ini.ts';
import { withMemory } from './memory.ts';
import { nearest } from './nearest.ts';
import { type Accounts, resolveOwner } from './owner.ts';
import { defaultStatePath, isWithin, resolvePath } from './paths.ts';
import { CLIENT_NAMES, type ClientName, clients, general, OLD_LINK_TYPES } from './schema.ts';
import { isUnchecked, UNCHECKED } from './unchecked.ts';
import { path as pathSchema, protection } from './values.ts';

export interface ParseOptions {
  /** The absolute path of the text's file: relative paths in it start at its folder. */
  readonly file: string;
  /** `-l NAME`: uses `[client-NAME]` instead of `[client]`. */
  readonly client?: string | undefined;
  /** The folder that `~` stands for; without it `~` is an ordinary name. */
  readonly home?: string | undefined;
  /** Resolves names in `owner`; without it only `uid:gid` resolves. */
  readonly accounts?: Accounts | undefined;
  /** The folder of the index if the original's database lies at `db`; without it the index is always at `db`. */
  readonly indexFor?: ((db: string) => IndexLocation) | undefined;
}

export interface IndexLocation {
  readonly path: string;
  /** The original's database that was found there. */
  readonly shelve?: string;
}

/** The notices so far, and the file that they are about. */
interface Context {
  readonly file: string;
  readonly notices: string[];
}

/**
 * Reads and validates a configuration. Bytes are better than a string: they show where the text is not UTF-8.
 * @throws AutotorrentError('CONFIG')
 */
export function parseConfig(input: string | Uint8Array, options: ParseOptions): Config {
  const { file } = options;
  const sections = parseIni(input, file);
  const context: Context = { file, notices: [] };
  noticeUnknownSections(sections, context);

  const section = sections.get('general');
  if (section === undefined) {
    throw new AutotorrentError('CONFIG', `${file} has no section [general], where store_path belongs`, {
      hint: 'autotorrent init writes a commented example.',
    });
  }
  const diskKeys = [...(sections.get('disks')?.own.keys() ?? [])].map((key) => `${PROTECT}${key}`);
  checkKeys(section, [...Object.keys(general.entries), ...diskKeys], context);
  const values = validate(general, section, context);

  const absolute = (written: string): string => resolvePath(written, dirname(file), options.home);
  const configuredDb = absolute(values.db);
  const storePath = absolute(values.store_path);
  const statePath = absolute(values.state_path ?? defaultStatePath(configuredDb, storePath));
  const index = options.indexFor?.(configuredDb) ?? { path: configuredDb };
  checkPlaces(section, { storePath, statePath, db: index.path }, context);
  if (index.shelve !== undefined) {
    context.notices.push(
      `${index.shelve} is the original autotorrent's database: it stays untouched, and the index is ${index.path}`,
    );
  }
  if (OLD_LINK_TYPES.includes(values.link_type)) {
    context.notices.push(
      `${place(section.entries.get('link_type'), file)}: link_type = ${values.link_type} now means virtual: ` +
        'the mount at store_path replaces trees of links',
    );
  }
  if (isUnchecked({ verify: values.verify, fastResume: values.fast_resume })) {
    const entry = section.entries.get('fast_resume');
    const reason = `${UNCHECKED}; accepted with verify = none: verified, never`;
    throw entry === undefined
      ? new AutotorrentError('CONFIG', `${file}: ${reason}`)
      : valueError(entry, reason, context);
  }
  const diskNames = readDisks(sections.get('disks'), absolute, context);
  const config: Config = {
    file,
    db: index.path,
    storePath,
    statePath,
    ignoreFiles: Object.freeze(values.ignore_files),
    settle: values.settle,
    addLimitSize: values.add_limit_size,
    addLimitPercent: values.add_limit_percent,
    scanModes: Object.freeze(values.scan_mode),
    exactTarget: values.exact_target,
    verify: values.verify,
    hashReaders: values.hash_readers,
    hashSizeVarying: values.hash_size_varying,
    hashLimit: Object.freeze(values.hash_limit),
    driver: values.driver,
    allowOther: values.allow_other.is,
    owner: ownerOf(values.owner, section, options, context),
    umask: values.umask,
    showLinks: values.show_links === 'on',
    fastResume: values.fast_resume,
    pathMap: Object.freeze(values.path_map),
    disks: Object.freeze([...new Set(diskNames.values())]),
    diskNames,
    client: withMemory(readClient(sections, options.client, context), statePath),
    clientSections: Object.freeze(clientSections(sections)),
    verifyReads: values.verify_reads,
    passthrough: values.passthrough,
    scrub: values.scrub,
    scrubDays: values.scrub_days,
    holdSources: values.hold_sources,
    recover: values.recover === 'on',
    onLoss: values.on_loss,
    repairLimit: values.repair_limit,
    rescueLimit: values.rescue_limit,
    rescueTotal: values.rescue_total,
    protect: values.protect,
    protectOf: readProtection(section, diskNames, context),
    protectDays: values.protect_days,
    notices: Object.freeze(context.notices),
  };
  return Object.freeze(config);
}

/** The beginning of `protect.KEY`, for the disk of that key. */
const PROTECT = 'protect.';

const place = (at: { readonly line: number } | undefined, file: string): string =>
  at === undefined ? file : `${file}, line ${at.line}`;

/** "FILE, line 3: [general] verify = "all" is not valid; accepted: …" */
function valueError(entry: IniEntry, reason: string, context: Context): AutotorrentError {
  const secret = /pass(?!through)|pwd|secret|token/.test(entry.key);
  const shown = secret ? '(not shown)' : shownValue(entry);
  const where = `${place(entry, context.file)}: [${entry.section}] ${entry.key} = ${shown} is not valid`;
  const comment = !secret && /\s[#;]/.test(entry.value) ? '; a comment needs a line of its own' : '';
  const goesOn = entry.value.includes('\n') ? '; an indented line goes on with the value above it' : '';
  return new AutotorrentError('CONFIG', `${where}; ${reason}${comment}${goesOn}`);
}

/** A password may stand in an address, behind another value of its client, and in a line that goes on with a value. */
function shownValue({ section, key, value }: IniEntry): string {
  const isClients = section.startsWith('client');
  if (!isClients && !value.includes('://')) return JSON.stringify(value);
  const [first = '', ...more] = value.split('\n');
  const lines = more.length === 0 ? '' : ` and ${more.length} more line(s)`;
  if (!isClients || ['url', 'host'].includes(key)) return JSON.stringify(shownUrl(first)) + lines;
  const word = /^[^\s=:]*/.exec(first)?.[0] ?? '';
  return JSON.stringify(word === first ? first : `${word}…`) + lines;
}

/** Validates a section and fills in defaults; throws the first problem in the file's order. */
function validate<const Schema extends v.GenericSchema>(
  schema: Schema,
  section: IniSection,
  context: Context,
): v.InferOutput<Schema> {
  const raw = Object.fromEntries([...section.entries].map(([key, entry]) => [key, entry.value]));
  const result = v.safeParse(schema, raw);
  if (result.success) return result.output;
  const problems = result.issues
    .map((issue) => {
      const key = String(issue.path?.[0]?.key);
      return { key, entry: section.entries.get(key), reason: issue.message };
    })
    .toSorted((a, b) => (a.entry?.line ?? 0) - (b.entry?.line ?? 0));
  const first = problems.find(({ entry }) => entry !== undefined);
  if (first?.entry !== undefined) throw valueError(first.entry, first.reason, context);
  const key = problems[0]?.key ?? '';
  throw new AutotorrentError('CONFIG', `${place(section, context.file)}: [${section.name}] has no ${key}`, {
    hint: `Add a line "${key} = …" below [${section.name}].`,
  });
}

/** Reports unknown keys in notices. */
function checkKeys(section: IniSection, known: readonly string[], context: Context): void {
  for (const entry of section.own.values()) {
    if (known.includes(entry.key)) continue;
    const meant = nearest(entry.key, known);
    const advice = meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${meant}?`;
    context.notices.push(
      `${place(entry, context.file)}: [${section.name}] ${entry.key} is unknown and unused: ${advice}`,
    );
  }
}

function noticeUnknownSections(sections: ReadonlyMap<string, IniSection>, context: Context): void {
  for (const { name, line } of sections.values()) {
    if (['general', 'disks', 'client'].includes(name) || /^client-./.test(name)) continue;
    const meant = nearest(name, ['general', 'disks', 'client']);
    const advice = meant === undefined ? 'known are general, disks, client, client-NAME' : `did you mean [${meant}]?`;
    context.notices.push(`${place({ line }, context.file)}: section [${name}] is unknown and unused: ${advice}`);
  }
}

/** Refuses paths below the mount point: the mount would hide them from the server that needs them. */
function checkPlaces(
  section: IniSection,
  places: { readonly storePath: string; readonly statePath: string; readonly db: string },
  context: Context,
): void {
  const refuse = (key: string, reason: string): never => {
    const entry = section.entries.get(key) ?? section.entries.get('store_path');
    if (entry === undefined) throw new AutotorrentError('CONFIG', `${context.file}: ${reason}`);
    throw valueError(entry, reason, context);
  };
  const { storePath, statePath, db } = places;
  if (storePath === '/') refuse('store_path', 'accepted: any folder but /');
  for (const [key, folder] of [['db', db] as const, ['state_path', statePath] as const]) {
    if (isWithin(folder, storePath))
      refuse(key, `${key} (${folder}) lies under store_path, where the mount would hide it`);
    if (isWithin(storePath, folder)) refuse('store_path', `it lies in ${key} (${folder}), which belongs to a database`);
  }
  if (statePath === db) refuse('state_path', 'it is the same folder as db; accepted: a folder of its own');
}

function ownerOf(
  written: string | undefined,
  section: IniSection,
  options: ParseOptions,
  context: Context,
): Config['owner'] {
  if (written === undefined) return undefined;
  const owner = resolveOwner(written, options.accounts ?? { passwd: '', group: '' });
  if (typeof owner !== 'string') return Object.freeze(owner);
  const entry = section.entries.get('owner');
  throw entry === undefined ? new AutotorrentError('CONFIG', owner) : valueError(entry, owner, context);
}

/** Reads `[disks]`, which takes any keys. Values from `[DEFAULT]` are no disks. */
function readDisks(
  section: IniSection | undefined,
  absolute: (path: string) => string,
  context: Context,
): Config['diskNames'] {
  const disks = new Map<string, string>();
  for (const entry of section?.own.values() ?? []) {
    const checked = v.safeParse(pathSchema, entry.value);
    if (!checked.success) throw valueError(entry, checked.issues[0].message, context);
    disks.set(entry.key, absolute(checked.output));
  }
  return disks;
}

/** Reads `protect.KEY` of each disk. One of a key that `[disks]` does not have is reported as unknown. */
function readProtection(section: IniSection, disks: Config['diskNames'], context: Context): Config['protectOf'] {
  const found = new Map<string, Protection>();
  for (const [key, folder] of disks) {
    const entry = section.entries.get(`${PROTECT}${key}`);
    if (entry === undefined) continue;
    const checked = v.safeParse(protection, entry.value);
    if (!checked.success) throw valueError(entry, checked.issues[0].message, context);
    found.set(folder, checked.output);
  }
  return found;
}

function readClient(
  sections: ReadonlyMap<string, IniSection>,
  wanted: string | undefined,
  context: Context,
): ClientConfig | undefined {
  const section = findClient(sections, wanted, context);
  if (section === undefined) return undefined;
  const entry = section.entries.get('client');
  if (entry === undefined) {
    throw new AutotorrentError('CONFIG', `${place(section, context.file)}: [${section.name}] has no client`, {
      hint: `Add a line "client = …" with one of ${CLIENT_NAMES.join(', ')}.`,
    });
  }
  const written = entry.value.toLowerCase();
  const client = CLIENT_NAMES.find((name) => name === written);
  if (client === undefined) throw valueError(entry, acceptedClients(), context);
  checkKeys(section, ['client', ...Object.keys(clients[client].entries)], context);
  return Object.freeze(clientOf(client, section, context));
}

/** Lists the client sections; their keys are checked when a section is chosen. */
function clientSections(sections: ReadonlyMap<string, IniSection>): string[] {
  return [...sections.values()]
    .filter(({ name }) => name === 'client' || /^client-./.test(name))
    .filter(({ entries }) => entries.get('client')?.value.toLowerCase() !== 'none')
    .map(({ name }) => name.replace(/^client-?/, ''));
}

const acceptedClients = (): string => `accepted: ${CLIENT_NAMES.join(', ')}`;

function findClient(
  sections: ReadonlyMap<string, IniSection>,
  wanted: string | undefined,
  context: Context,
): IniSection | undefined {
  if (wanted === undefined) return sections.get('client');
  const section = sections.get(`client-${wanted}`);
  if (section !== undefined) return section;
  // In the original, `-l default` meant `[client]`.
  if (wanted === 'default' && sections.has('client')) return sections.get('client');
  const named = [...sections.keys()].filter((name) => name.startsWith('client-')).map((name) => name.slice(7));
  const there = named.length === 0 ? 'it names no client at all' : `it has ${named.join(', ')}`;
  throw new AutotorrentError('CONFIG', `${context.file} has no section [client-${wanted}]: ${there}`, {
    hint: sections.has('client') ? 'Without -l the section [client] is used.' : undefined,
  });
}

function clientOf(client: ClientName, section: IniSection, context: Context): ClientConfig {
  switch (client) {
    case 'rtorrent': {
      const { url, label } = validate(clients.rtorrent, section, context);
      return { client, url, ...(label !== undefined && { label }) };
    }
    case 'transmission': {
      const { url, username, password, label } = validate(clients.transmission, section, context);
      return { client, ...withLogin(url, username, password), ...(label !== undefined && { label }) };
    }
    case 'deluge':
      return delugeOf(section, context);
    case 'qbittorrent': {
      const { url, username, password, category, tags } = validate(clients.qbittorrent, section, context);
      return {
        client,
        ...withLogin(url, username, password),
        ...(category !== undefined && { category }),
        ...(tags !== undefined && { tags }),
      };
    }
    default:
      return { client };
  }
}

/** Reads a Deluge section: the daemon by `host`, as in the original, or the web interface by `url`. */
function delugeOf(section: IniSection, context: Context): ClientConfig {
  const { host, url, username, password, label } = validate(clients.deluge, section, context);
  const common = { ...(password !== undefined && { password }), ...(label !== undefined && { label }) };
  const two = section.entries.get('url');
  if (host !== undefined && two !== undefined) {
    throw valueError(two, 'host names the daemon and url its web interface: give one of them', context);
  }
  if (host !== undefined) return { client: 'deluge', host, ...(username !== undefined && { username }), ...common };
  if (url !== undefined) return { client: 'deluge', url, ...common };
  throw new AutotorrentError('CONFIG', `${place(section, context.file)}: [${section.name}] has no host`, {
    hint: `Add a line "host = 127.0.0.1:58846" below [${section.name}], or "url = http://127.0.0.1:8112" for the web interface.`,
  });
}

/** Separates the login from a URL: the original took it there, but fetch refuses such URLs. */
function withLogin(
  url: string,
  username: string | undefined,
  password: string | undefined,
): { readonly url: string; readonly username?: string; readonly password?: string } {
  const found = new URL(url);
  const user = username ?? decoded(found.username);
  const pass = password ?? decoded(found.password);
  [found.username, found.password] = ['', ''];
  return {
    url: found.href,
    ...(user !== undefined && { username: user }),
    ...(pass !== undefined && { password: pass }),
  };
}

/** Decodes a part of a URL; leaves it as it is if its `%` are no escapes. */
function decoded(part: string): string | undefined {
  if (part === '') return undefined;
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
