/**
 * A mode more never finds less: over generated collections, with all sets of modes, `probe` and `full`, and no `hash_limit`.
 *
 * With SURVIVAL=whole it takes many seeds; SURVIVAL_SEED=n takes that one alone.
 */
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { countBits } from '../../src/extent/bitfield.ts';
import { createHashPool } from '../../src/hash/piscina-pool.ts';
import { silentLogger } from '../../src/logger.ts';
import { MATCH_MODES, type MatchMode, type TorrentMatch } from '../../src/match/match.ts';
import { matchTorrents } from '../../src/match/match-torrents.ts';
import { sharePieces } from '../../src/match/own-pieces.ts';
import { ANYWHERE, anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { torrent, writeFiles } from './fixtures.ts';
import { type Generated, generatedCollection } from './generated-collection.ts';
import { readMatched } from './matching.ts';
import { NaiveIndex } from './naive-index.ts';

const ALL = (1 << MATCH_MODES.length) - 1;
const chosen = process.env['SURVIVAL_SEED'];
/** Each of these lost something before. */
const TELLING = [5, 9, 72, 110];
const MANY = Array.from({ length: 150 }, (_, i) => i + 1);
const seeds = chosen === undefined ? (process.env['SURVIVAL'] === 'whole' ? MANY : TELLING) : [Number(chosen)];

/** What a match has found. */
interface Finding {
  readonly match: TorrentMatch;
  /** Pieces of which all bytes are mapped and right: those that a client need not download. */
  readonly wholePieces: number;
  /** Mapped bytes that are not the torrent's. */
  readonly wrongBytes: number;
}

describe('a scan mode more', () => {
  const base = temporaryFolder('more-modes');
  const pool = createHashPool({ sources: ANYWHERE, threads: 2 });
  after(() => pool.close());

  for (const seed of seeds) {
    it(`never finds less: seed ${seed}`, async () => {
      const generated = generatedCollection(seed);
      const disk = writeFiles(mkdtempSync(join(base, 'disk-')), generated.collection);
      const index = new NaiveIndex(disk);
      const metainfo = torrent(generated.name, generated.parts);
      for (const verify of ['probe', 'full'] as const) {
        const findings: Finding[] = [];
        for (let set = 0; set <= ALL; set++) {
          const options = { scanModes: modesOf(set), verify };
          const shared = { index, pool, options, logger: silentLogger, access: anywhere() };
          const [match] = await matchTorrents([{ name: 't', metainfo }], shared);
          assert.ok(match !== undefined);
          findings.push(findingOf(match, generated));
        }
        for (const [set, few] of findings.entries()) {
          // One more at a time: so no set finds less than any of its subsets.
          for (let bit = 1; bit <= ALL; bit <<= 1) {
            const many = findings[set | bit];
            const lost = many === undefined ? 'nothing was matched' : lostBy(few, many, verify);
            if (lost === undefined) continue;
            const title = `${verify}, ${modesOf(set).join()} and ${modesOf(bit).join()}: ${lost}`;
            assert.fail([title, shown(few, disk), ...(many === undefined ? [] : [shown(many, disk)])].join('\n'));
          }
        }
      }
    });
  }
});

function modesOf(set: number): MatchMode[] {
  return MATCH_MODES.filter((_, i) => (set & (1 << i)) !== 0);
}

function lostBy(few: Finding, many: Finding, verify: 'probe' | 'full'): string | undefined {
  if (many.wholePieces < few.wholePieces) return 'fewer pieces are there';
  // Wrong bytes were not found: the more modes, the more of them are known to be wrong.
  if (many.match.missingBytes > few.match.missingBytes + few.wrongBytes) return 'more bytes are missing';
  if (verify === 'full' && countBits(many.match.verified) < countBits(few.match.verified)) return 'fewer are proven';
  return undefined;
}

function findingOf(match: TorrentMatch, { parts }: Generated): Finding {
  const { pieceCount, pieceLength, files } = match.metainfo;
  const { own } = sharePieces(match.metainfo);
  let wrongBytes = 0;
  const lacking = new Set<number>();
  for (const [i, bytes] of Object.values(parts).entries()) {
    const file = files[i];
    if (typeof bytes === 'number' || file === undefined) continue;
    const mapped = readMatched(match, i);
    for (const { offset, length, source } of match.files[i]?.extents ?? []) {
      for (let at = offset; at < offset + length; at++) {
        if (source >= 0 && mapped[at] === bytes[at]) continue;
        const piece = Math.floor((file.offset + at) / pieceLength);
        lacking.add(piece);
        if (source < 0) continue;
        wrongBytes++;
        const { first, count } = own[i] ?? { first: 0, count: 0 };
        // So short are the files that `probe` hashes these, too.
        assert.ok(
          piece < first || piece >= first + count,
          `wrong bytes are mapped in piece ${piece} of ${match.reason}`,
        );
      }
    }
  }
  return { match, wrongBytes, wholePieces: pieceCount - lacking.size };
}

/** Shows where each file's bytes come from. */
function shown({ match, wholePieces, wrongBytes }: Finding, disk: string): string {
  const { metainfo, sources, files, missingBytes } = match;
  const lines = files.map(({ status, mode, code, extents }, i) => {
    const from = extents.map(({ offset, length, source, sourceOffset }) => {
      const path = sources[source]?.path.toString().slice(disk.length + 1);
      return `${offset}+${length} ${path === undefined ? source : `${path}@${sourceOffset}`}`;
    });
    const { path = [], length = 0 } = metainfo.files[i] ?? {};
    return `  ${path.join('/')} ${length}: ${status} ${mode} ${code}: ${from.join(', ')}`;
  });
  return [`${wholePieces} pieces, ${missingBytes} missing, ${wrongBytes} wrong`, ...lines].join('\n');
}
