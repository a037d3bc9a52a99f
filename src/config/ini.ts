/**
 * Parses the form of `autotorrent.conf`: sections of `key = value`, with line numbers.
 *
 * It reads what Python's ConfigParser read for the original (compared with 2.7 and 3.11):
 * - `=` or `:`, whichever comes first, ends the key; keys are case-insensitive, section names are not;
 * - a line whose first character is `#` or `;` is a comment. A value ends only at the end of its line, so that a
 *   password may contain both (2.7 alone cut ` ;` off);
 * - a line indented deeper than its key continues that key's value; comments between such lines are dropped;
 * - `[DEFAULT]` supplies keys that a section lacks; `%(key)s` is the value of another key; `%%` is `%`.
 *
 * It is more lenient in two points: a bare `%`, or a `%(key)s` of an unknown key, stands for itself (3.11 stopped), and
 * a byte order mark is skipped. It is stricter in one: a repeated key or section is an error (2.7 took the last).
 */
import { isUtf8 } from 'node:buffer';
import { AutotorrentError } from '../errors.ts';

export interface IniEntry {
  /** In lower case. */
  readonly key: string;
  /** Trimmed, with `%` resolved; several lines of a value are joined with `\n`. */
  readonly value: string;
  /** The line of the key, from 1. */
  readonly line: number;
  /** The section that has the key; `DEFAULT` if it comes from there. */
  readonly section: string;
}

export interface IniSection {
  readonly name: string;
  readonly line: number;
  /** The section's own values, by key, in the file's order. */
  readonly own: ReadonlyMap<string, IniEntry>;
  /** The same values, completed from `[DEFAULT]`. */
  readonly entries: ReadonlyMap<string, IniEntry>;
}

interface OpenEntry {
  readonly key: string;
  readonly line: number;
  readonly indent: number;
  readonly lines: string[];
}

interface OpenSection {
  readonly name: string;
  readonly line: number;
  readonly entries: Map<string, OpenEntry>;
}

const DEFAULT_SECTION = 'DEFAULT';
/** The depth to which one `%(key)s` may lead to another, as in ConfigParser. */
const INTERPOLATION_DEPTH = 10;
/** Characters of all values that one value leads to: ten keys of ten references each would lead to thousands of millions. */
const MAX_INTERPOLATED = 1_000_000;

/**
 * Reads the sections of a file, by name, without `[DEFAULT]`.
 * @throws AutotorrentError('CONFIG') with `file` and the line
 */
export function parseIni(input: string | Uint8Array, file: string): Map<string, IniSection> {
  const open = readSections(decodeLines(input, file), file);
  const defaults = open.get(DEFAULT_SECTION);
  open.delete(DEFAULT_SECTION);
  return new Map([...open].map(([name, section]) => [name, closeSection(section, defaults, file)]));
}

/** Splits the file into lines. Bytes that are not UTF-8 are allowed in comments only: elsewhere they would change. */
function decodeLines(input: string | Uint8Array, file: string): string[] {
  if (typeof input === 'string') return input.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  // Latin-1 keeps each byte, so that lines can be cut before they are decoded.
  const lines = bytes.toString('latin1').split(/\r\n|\n|\r/);
  return lines.map((raw, i) => {
    const lineBytes = Buffer.from(raw, 'latin1');
    if (isUtf8(lineBytes)) return lineBytes.toString('utf8').replace(i === 0 ? /^\uFEFF/ : /^(?!)/, '');
    if (/^\s*[#;]/.test(raw)) return '#';
    throw syntaxError(file, i + 1, 'holds bytes that are not UTF-8', 'Save the file as UTF-8.');
  });
}

function readSections(lines: readonly string[], file: string): Map<string, OpenSection> {
  const sections = new Map<string, OpenSection>();
  let section: OpenSection | undefined;
  let entry: OpenEntry | undefined;
  for (const [i, text] of lines.entries()) {
    const line = i + 1;
    const trimmed = text.trim();
    if (trimmed === '') {
      entry?.lines.push('');
      continue;
    }
    if (trimmed.startsWith('#') || trimmed.startsWith(';')) continue;
    const indent = text.length - text.trimStart().length;
    if (entry !== undefined && indent > entry.indent) {
      entry.lines.push(trimmed);
      continue;
    }
    entry = undefined;
    if (trimmed.startsWith('[')) {
      section = readHeader(trimmed, line, sections, file);
      sections.set(section.name, section);
      continue;
    }
    if (section === undefined) {
      const hint = 'Write [general] on a line of its own before it.';
      throw syntaxError(file, line, `comes before the first section: ${excerpt(trimmed)}`, hint);
    }
    entry = readKey(trimmed, line, indent, section, file);
    section.entries.set(entry.key, entry);
  }
  return sections;
}

function readHeader(text: string, line: number, sections: ReadonlyMap<string, OpenSection>, file: string): OpenSection {
  const parts = /^\[([^\]]+)\]\s*(.*)$/.exec(text);
  const name = parts?.[1];
  if (name === undefined || !/^(?:[#;]|$)/.test(parts?.[2] ?? '')) {
    throw syntaxError(file, line, `is no section: ${excerpt(text)}`, 'A section is a name in brackets, as [general].');
  }
  const first = sections.get(name);
  if (first !== undefined) {
    const hint = 'Put the keys of both in one.';
    throw syntaxError(file, line, `begins [${name}] again: it is on line ${first.line} already`, hint);
  }
  return { name, line, entries: new Map() };
}

function readKey(text: string, line: number, indent: number, section: OpenSection, file: string): OpenEntry {
  const at = text.search(/[=:]/);
  const key = text.slice(0, Math.max(at, 0)).trim().toLowerCase();
  if (key === '') {
    // In a client's section the line may be a password that was cut off its key.
    const shown = section.name.startsWith('client') ? '' : `: ${excerpt(text)}`;
    throw syntaxError(file, line, `in [${section.name}] is no "key = value"${shown}`);
  }
  const first = section.entries.get(key);
  if (first !== undefined) {
    const problem = `in [${section.name}] sets ${key} again: line ${first.line} sets it already`;
    throw syntaxError(file, line, problem, 'Keep one of them.');
  }
  return { key, line, indent, lines: [text.slice(at + 1).trim()] };
}

function closeSection(section: OpenSection, defaults: OpenSection | undefined, file: string): IniSection {
  const all = new Map([...(defaults?.entries ?? []), ...section.entries]);
  const close = (entry: OpenEntry): IniEntry => ({
    key: entry.key,
    value: new Interpolation(all, file, entry).valueOf(entry, INTERPOLATION_DEPTH),
    line: entry.line,
    section: section.entries.get(entry.key) === entry ? section.name : DEFAULT_SECTION,
  });
  const closed = (entries: Iterable<readonly [string, OpenEntry]>): Map<string, IniEntry> =>
    new Map([...entries].map(([key, entry]) => [key, close(entry)]));
  return { name: section.name, line: section.line, own: closed(section.entries), entries: closed(all) };
}

/** Puts the values of other keys into one value. */
class Interpolation {
  readonly #all: ReadonlyMap<string, OpenEntry>;
  readonly #file: string;
  readonly #of: OpenEntry;
  #length = 0;

  constructor(all: ReadonlyMap<string, OpenEntry>, file: string, of: OpenEntry) {
    this.#all = all;
    this.#file = file;
    this.#of = of;
  }

  /** Names are bounded: of many `%(` without an end, each would search to the end of the value. */
  valueOf(entry: OpenEntry, depth: number): string {
    return entry.lines
      .join('\n')
      .trim()
      .replaceAll(/%%|%\(([^)]{1,200})\)s/g, (written, name: string | undefined) => {
        if (name === undefined) return '%';
        const other = this.#all.get(name.toLowerCase());
        if (other === undefined || other === entry || depth === 0) return written;
        const value = this.valueOf(other, depth - 1);
        this.#length += value.length + 1;
        if (this.#length <= MAX_INTERPOLATED) return value;
        const { key, line } = this.#of;
        throw syntaxError(this.#file, line, `makes ${key} longer than ${MAX_INTERPOLATED} characters by its %(key)s`);
      });
  }
}

function syntaxError(file: string, line: number, problem: string, hint?: string): AutotorrentError {
  return new AutotorrentError('CONFIG', `${file}, line ${line} ${problem}`, { hint });
}

/** The first word of a line, for a message: what follows may be a password. */
function excerpt(text: string): string {
  const word = (/^[^\s=:]*/.exec(text)?.[0] ?? '').slice(0, 40);
  return word === text ? word : `${word}…`;
}
