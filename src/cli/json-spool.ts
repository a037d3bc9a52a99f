/**
 * Prints large JSON documents piece by piece, as `jsonText(value, 2)` would give them at once.
 *
 * A document of a million files would be longer than the longest string that V8 has. And a command prints one document, also if it
 * fails in the end, so that nothing can be printed before everything is known. Meanwhile a list waits as text: in memory, and beyond
 * some megabytes in a temporary file without a name.
 */
import { mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jsonText } from '../printable.ts';

/** A list of which one item is in memory at a time. */
export class LazyList {
  readonly items: Iterable<unknown>;

  constructor(items: Iterable<unknown>) {
    this.items = items;
  }
}

/** Gives the text of a value in pieces; `depth` counts the levels around it. A list may be a LazyList or a JsonSpool. */
export function* jsonPieces(value: unknown, depth = 0): Generator<string> {
  if (value instanceof JsonSpool) yield* value.text();
  else if (value instanceof LazyList) yield* listText(value.items, depth);
  else if (Array.isArray(value)) yield* listText(value, depth);
  else if (typeof value !== 'object' || value === null || 'toJSON' in value) yield jsonText(value ?? null);
  else {
    let first = true;
    for (const [name, member] of Object.entries(value)) {
      if (member === undefined) continue;
      yield `${first ? '{' : ','}\n${margin(depth + 1)}${jsonText(name)}: `;
      yield* jsonPieces(member, depth + 1);
      first = false;
    }
    yield first ? '{}' : `\n${margin(depth)}}`;
  }
}

function* listText(items: Iterable<unknown>, depth: number): Generator<string> {
  let first = true;
  for (const item of items) {
    yield `${first ? '[' : ','}\n${margin(depth + 1)}`;
    yield* jsonPieces(item, depth + 1);
    first = false;
  }
  yield first ? '[]' : `\n${margin(depth)}]`;
}

/** Joins short pieces, so that few calls write them. */
export function* inBlocks(pieces: Iterable<string>): Generator<string> {
  let block: string[] = [];
  let length = 0;
  for (const piece of pieces) {
    block.push(piece);
    length += piece.length;
    if (length < BLOCK) continue;
    yield block.join('');
    block = [];
    length = 0;
  }
  if (length > 0) yield block.join('');
}

const BLOCK = 256 * 1024;
/** Characters that wait in memory. */
const IN_MEMORY = 8 * 1024 * 1024;

/** A list that is added to item by item, and printed at the end as a part of a document. */
export class JsonSpool {
  readonly #depth: number;
  #blocks: string[] = [];
  #length = 0;
  #items = 0;
  #file: number | undefined;

  /** `depth`: the levels around the list in its document. */
  constructor(depth: number) {
    this.#depth = depth;
  }

  /** Appends an item. @throws the errors of the temporary folder's disk */
  add(item: unknown): void {
    const before = `${this.#items++ === 0 ? '[' : ','}\n${margin(this.#depth + 1)}`;
    this.#write(before);
    for (const block of inBlocks(jsonPieces(item, this.#depth + 1))) this.#write(block);
  }

  /** The text of the list so far. */
  *text(): Generator<string> {
    if (this.#items === 0) {
      yield '[]';
      return;
    }
    if (this.#file !== undefined) yield* textOf(this.#file);
    yield* this.#blocks;
    yield `\n${margin(this.#depth)}]`;
  }

  #write(text: string): void {
    this.#blocks.push(text);
    this.#length += text.length;
    if (this.#length < IN_MEMORY) return;
    this.#file ??= openUnnamed();
    const bytes = Buffer.from(this.#blocks.join(''));
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
    this.#blocks = [];
    this.#length = 0;
  }
}

/** The file goes with the process. */
function openUnnamed(): number {
  const folder = mkdtempSync(join(tmpdir(), 'autotorrent-json-'));
  try {
    return openSync(join(folder, 'list'), 'wx+', 0o600);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function* textOf(file: number): Generator<string> {
  const decoder = new TextDecoder();
  const buffer = Buffer.allocUnsafe(BLOCK);
  for (let at = 0; ; ) {
    const read = readSync(file, buffer, 0, buffer.length, at);
    if (read === 0) return;
    at += read;
    yield decoder.decode(buffer.subarray(0, read), { stream: true });
  }
}

function margin(depth: number): string {
  return '  '.repeat(depth);
}
