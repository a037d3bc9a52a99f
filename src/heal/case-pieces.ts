/** The pieces of all entries that use the source of a case. */
import type { HashPool } from '../hash/hash-pool.ts';
import type { Source } from '../match/look.ts';
import type { SourceAccess } from '../source/source-access.ts';
import { EntryPieces, type HealEntry, type Probe } from './entry-pieces.ts';

export interface CasePiecesTools {
  readonly access: SourceAccess;
  readonly pool: () => Promise<HashPool>;
  /** An entry as it is mapped. The same object, as long as nothing changed. */
  readonly entry: (infoHash: string) => Promise<HealEntry>;
  readonly signal: AbortSignal;
}

/** The entries that use a source, asked for when they are needed. */
export class CasePieces {
  readonly #id: number;
  readonly #infoHashes: readonly string[];
  readonly #tools: CasePiecesTools;
  readonly #known: WeakMap<HealEntry, EntryPieces>;

  constructor(
    id: number,
    infoHashes: readonly string[],
    tools: CasePiecesTools,
    known: WeakMap<HealEntry, EntryPieces>,
  ) {
    this.#id = id;
    this.#infoHashes = infoHashes;
    this.#tools = tools;
    this.#known = known;
  }

  async entries(): Promise<readonly EntryPieces[]> {
    const { access, signal } = this.#tools;
    const found: EntryPieces[] = [];
    for (const infoHash of this.#infoHashes) {
      const entry = await this.#tools.entry(infoHash);
      let pieces = this.#known.get(entry);
      if (pieces === undefined) {
        pieces = new EntryPieces(entry, await this.#tools.pool(), access, signal);
        this.#known.set(entry, pieces);
      }
      found.push(pieces);
    }
    return found;
  }

  /** All entries must agree, as far as they can be asked. */
  async probe(candidate: Source): Promise<Probe> {
    let asked = 0;
    for (const entry of await this.entries()) {
      const found = await entry.probe(this.#id, candidate);
      asked += found.asked;
      if (found.verdict === 'fails') return found;
    }
    return { verdict: asked > 0 ? 'agrees' : 'unknown', asked };
  }
}
