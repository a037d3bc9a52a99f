/** Reads the `piece layers` of a v2 or hybrid torrent (BEP 52), and checks them against each file's pieces root. */
import { entriesAt, kindAt, type Span, stringIn } from './bencoded.ts';
import type { ListedFile } from './listed-file.ts';
import { DIGEST_BYTES, rootOfLayer } from './merkle.ts';
import { quote } from './paths.ts';
import { refuse } from './refuse.ts';

/** Gives the layers by pieces root in hex. A file of one piece has none: its root is the piece's. */
export function readPieceLayers(
  raw: Buffer,
  value: Span | undefined,
  files: readonly ListedFile[],
  pieceLength: number,
): Map<string, Buffer> {
  const layers = new Map<string, Buffer>();
  const needed = files.filter((file) => file.piecesRoot !== undefined && file.length > pieceLength);
  if (value === undefined || kindAt(raw, value.start) !== 'dictionary') {
    if (needed.length === 0) return layers;
    refuse('its piece layers are missing', 'Its pieces cannot be checked without them. Download the .torrent again.');
  }
  const entries = entriesAt(raw, value.start);
  for (const { piecesRoot, length, path } of needed) {
    const told = quote(path.join('/'));
    const layer = stringIn(raw, entries.get(piecesRoot!.toString('latin1')));
    if (layer === undefined) refuse(`the piece layer of ${told} is missing`);
    if (layer.length !== Math.ceil(length / pieceLength) * DIGEST_BYTES) {
      refuse(`the piece layer of ${told} does not fit its length`);
    }
    const key = piecesRoot!.toString('hex');
    if (layers.has(key)) continue;
    if (!rootOfLayer(layer, pieceLength).equals(piecesRoot!))
      refuse(`the piece layer of ${told} does not match its root`);
    layers.set(key, layer);
  }
  if (entries.size > layers.size) refuseStrays(entries, files);
  return layers;
}

/**
 * Refuses layers of no file, as libtorrent's development version does: nobody knows what they are for. A file of one piece may have one.
 */
function refuseStrays(entries: ReadonlyMap<string, Span>, files: readonly ListedFile[]): void {
  const roots = new Set(files.map((file) => file.piecesRoot?.toString('latin1')));
  for (const key of entries.keys()) {
    if (roots.has(key)) continue;
    const told = Buffer.from(key, 'latin1').subarray(0, DIGEST_BYTES).toString('hex');
    refuse(`the piece layer ${told} belongs to no file of it`, 'Download the .torrent again, or make it anew.');
  }
}
