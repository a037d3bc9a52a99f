/**
 * Records in `state_path` what the next `mount` must do in each client (the states are in docs/absence.md).
 *
 * One process at a time writes it: the server starts one child after the other.
 */
import { readSmallFile } from '../../bytes/read-file.ts';
import { AutotorrentError, errnoOf, messageOf } from '../../errors.ts';
import { jsonText } from '../../printable.ts';
import { replaceDurably } from './replace-durably.ts';

const PENDING = ['errors', 'all'] as const;
const NEEDS = ['serving', 'resume', 'look', 'recover'] as const;

export interface Absence {
  /** docs/absence.md explains each; `nothing`: for this client the store is fresh. */
  readonly needs: 'nothing' | (typeof NEEDS)[number];
  /** Info hashes of torrents that we stopped and have not started again. */
  readonly stopped: readonly string[];
  /** The info hashes among them to check before they are started. */
  readonly unchecked?: readonly string[];
  /** The torrents that a recovery, which has not begun yet, must look at. */
  readonly pending?: (typeof PENDING)[number];
}

/** Bytes: room for the info hashes of more than a million torrents. */
const LARGEST_RECORD = 64 * 1024 * 1024;

const FRESH: Absence = { needs: 'nothing', stopped: [] };
/** The state after a crash: of a client without a record the worst is assumed. */
const UNKNOWN: Absence = { needs: 'recover', stopped: [] };

export class AbsenceRecord {
  readonly #path: string;
  readonly #clients: Map<string, Absence>;
  readonly #others: Absence;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, clients: Map<string, Absence>, others: Absence) {
    this.#path = path;
    this.#clients = clients;
    this.#others = others;
  }

  /** Reads the record; `onDamage` hears why a file cannot be used. @throws AutotorrentError('STORE') */
  static async read(path: string, onDamage: (message: string) => void): Promise<AbsenceRecord> {
    let text: string;
    try {
      text = readSmallFile(path, LARGEST_RECORD).toString();
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return new AbsenceRecord(path, new Map(), FRESH);
      throw new AutotorrentError('STORE', `${path} cannot be read: ${messageOf(cause)}`, { cause });
    }
    const clients = parse(text);
    if (clients !== undefined) return new AbsenceRecord(path, clients, FRESH);
    onDamage(`${path} is damaged: its record of clients is lost`);
    return new AbsenceRecord(path, new Map(), UNKNOWN);
  }

  /** `section`: the NAME of `[client-NAME]`, empty for `[client]`. */
  of(section: string): Absence {
    return this.#clients.get(section) ?? this.#others;
  }

  /** The sections with torrents to start. */
  get sections(): string[] {
    return [...this.#clients].filter(([, { stopped }]) => stopped.length > 0).map(([section]) => section);
  }

  /** True if any client must be looked at. */
  get hasLook(): boolean {
    return [...this.#clients.values()].some(({ needs }) => needs === 'look');
  }

  /** Records a client's state, durably. @throws AutotorrentError('STORE') */
  async set(section: string, absence: Absence): Promise<void> {
    this.#clients.set(section, withoutNothing(absence));
    const writing = this.#writing.then(() => this.#write());
    this.#writing = writing.catch(() => {});
    await writing;
  }

  /** Changes a part of a client's state, durably. @throws AutotorrentError('STORE') */
  async update(section: string, change: Partial<Absence>): Promise<void> {
    await this.set(section, { ...this.of(section), ...change });
  }

  async #write(): Promise<void> {
    const text = `${jsonText({ version: 1, clients: Object.fromEntries(this.#clients) }, 1)}\n`;
    await replaceDurably(this.#path, text);
  }
}

/** Undefined if the text is no record. */
function parse(text: string): Map<string, Absence> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { version, clients } = (value ?? {}) as { version?: unknown; clients?: unknown };
  if (version !== 1 || typeof clients !== 'object' || clients === null) return undefined;
  const found = new Map<string, Absence>();
  for (const [section, absence] of Object.entries(clients)) {
    const { needs, stopped, unchecked = [], pending } = (absence ?? {}) as Partial<Absence>;
    if (needs === undefined || needs === 'nothing' || !NEEDS.includes(needs)) return undefined;
    if (!isListOfStrings(stopped) || !isListOfStrings(unchecked)) return undefined;
    if (pending !== undefined && !PENDING.includes(pending)) return undefined;
    found.set(section, withoutNothing({ needs, stopped, unchecked, ...(pending === undefined ? {} : { pending }) }));
  }
  return found;
}

function withoutNothing({ needs, stopped, unchecked = [], pending }: Absence): Absence {
  return {
    needs,
    stopped,
    ...(unchecked.length > 0 ? { unchecked } : {}),
    ...(pending === undefined ? {} : { pending }),
  };
}

function isListOfStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
