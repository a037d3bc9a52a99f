/** Finds where the bytes of a piece come from, over all files that it spans. */
import { type Extent, GAP, OVERLAY, ZEROS } from '../../extent/extent.ts';
import type { Content, MappedContent } from '../../store/overlay/content.ts';
import type { Store } from '../../store/store.ts';
import type { Span } from './spans.ts';

type OverlayFile = NonNullable<MappedContent['overlay']>;

/** Adjacent bytes of a piece: of a source, written by a client, or zeros. */
export type Part =
  | { readonly kind: 'source'; readonly source: number; readonly offset: number; readonly length: number }
  | { readonly kind: 'written'; readonly overlay: OverlayFile; readonly offset: number; readonly length: number }
  | { readonly kind: 'zeros'; readonly length: number };

export interface PieceParts {
  readonly parts: readonly Part[];
  /** Some were written by a client. */
  readonly written: boolean;
  /** Ends the use of the files that were written. */
  readonly release: () => void;
}

/**
 * Lists the parts of a piece: as they are now, or as they were `planned`, whatever was written over them. Undefined if some
 * bytes are nowhere.
 */
export async function partsOf(
  store: Pick<Store, 'bytes' | 'plannedFile'>,
  entry: number,
  spans: readonly Span[],
  planned: boolean,
): Promise<PieceParts | undefined> {
  const parts: Part[] = [];
  const held: Content[] = [];
  let written = false;
  const release = (): void => {
    for (const content of held) store.bytes.release(content);
  };
  for (const span of spans) {
    const content = await contentOf(store, entry, span.file);
    const added = content === undefined ? undefined : addedParts(content, span, planned);
    const isWritten = added?.some(({ kind }) => kind === 'written') === true;
    if (content !== undefined && isWritten) held.push(content);
    else if (content !== undefined) store.bytes.release(content);
    if (added === undefined) {
      release();
      return undefined;
    }
    for (const part of added) parts.push(part);
    written ||= isWritten;
  }
  return { parts, written, release };
}

async function contentOf(
  store: Pick<Store, 'bytes' | 'plannedFile'>,
  entry: number,
  file: number,
): Promise<Content | undefined> {
  const ino = store.plannedFile(entry, file);
  if (ino === undefined) return undefined;
  try {
    return await store.bytes.acquire(ino);
  } catch {
    // It was deleted, or what was written over it cannot be opened.
    return undefined;
  }
}

/** Lists the parts of one file. Undefined if some bytes are nowhere. */
function addedParts(content: Content, { offset, length }: Span, planned: boolean): Part[] | undefined {
  if (content.kind === 'plain') {
    return planned ? undefined : [{ kind: 'written', overlay: content.overlay, offset, length }];
  }
  const parts: Part[] = [];
  let found = 0;
  for (const extent of planned ? content.extents.slice(offset, length) : content.slice(offset, length)) {
    const part = partOf(extent, content);
    if (part === undefined) return undefined;
    parts.push(part);
    found += extent.length;
  }
  return found === length ? parts : undefined;
}

function partOf({ source, sourceOffset, length }: Extent, { overlay }: MappedContent): Part | undefined {
  if (source === ZEROS) return { kind: 'zeros', length };
  if (source === GAP) return undefined;
  if (source !== OVERLAY) return { kind: 'source', source, offset: sourceOffset, length };
  return overlay === undefined ? undefined : { kind: 'written', overlay, offset: sourceOffset, length };
}
