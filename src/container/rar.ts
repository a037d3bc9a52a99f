/**
 * Reads RAR sets: the members of one archive over its volumes.
 *
 * Members lie one after the other. So a member that goes on after the first volume and ends in the last one fills all volumes
 * between. Listing a set of one large member reads two volumes, however many there are; `locate` reads all.
 */
import {
  type Archive,
  GIVE_UP_AFTER,
  HeaderReader,
  MAX_ALL_NAMES_BYTES,
  MAX_HEADERS,
  MAX_NAME_BYTES,
  type Member,
  type Part,
  type Unusable,
  type Volumes,
} from './container.ts';
import type { RarFile, RarFormat } from './rar-block.ts';
import { RAR4 } from './rar4.ts';
import { RAR5 } from './rar5.ts';

/** Opens a set. Undefined where the first volume is no RAR, or its headers are encrypted. */
export function openRar(volumes: Volumes): Archive | undefined {
  if (volumes.size(0) < RAR4.signature.length) return undefined;
  const signature = volumes.read(0, 0, Math.min(8, volumes.size(0)));
  const format = [RAR4, RAR5].find((known) => signature.subarray(0, known.signature.length).equals(known.signature));
  return format === undefined ? undefined : new RarArchive(volumes, format);
}

interface Open extends Member {
  readonly file: RarFile;
  readonly parts: Part[];
  /** The member's last part was seen. */
  whole: boolean;
  unusable?: Unusable;
}

interface Piece {
  readonly file: RarFile;
  readonly part: Part;
}

interface VolumeContent {
  readonly pieces: readonly Piece[];
  /** The volume says that another one follows. */
  readonly more: boolean;
}

class RarArchive implements Archive {
  readonly members: readonly Member[];
  readonly #volumes: Volumes;
  readonly #format: RarFormat;
  readonly #read = new Map<number, VolumeContent | undefined>();
  #headers = 0;
  #nameBytes = 0;
  #located: readonly Open[] | undefined;

  constructor(volumes: Volumes, format: RarFormat) {
    this.#volumes = volumes;
    this.#format = format;
    this.members = this.#walk(true);
  }

  locate(member: Member): readonly Part[] | Unusable {
    if (member.unusable !== undefined) return member.unusable;
    this.#located ??= this.#walk(false);
    const found = this.#located.find(({ name, size }) => size === member.size && name.equals(member.name));
    if (found === undefined) return 'damaged';
    return found.unusable ?? found.parts;
  }

  /** `jump` skips volumes that can hold only a part of one member, whose parts are then incomplete. */
  #walk(jump: boolean): Open[] {
    const { count } = this.#volumes;
    const members: Open[] = [];
    let open: Open | undefined;
    let usable = 0;
    for (let volume = 0; volume < count; volume++) {
      const content = this.#content(volume);
      if (content === undefined) break;
      for (const { file, part } of content.pieces) {
        if (file.splitBefore) {
          // A part without its beginning belongs to a member that the volumes before do not have.
          if (open === undefined) continue;
          if (!continues(open.file, file)) {
            open.unusable = 'damaged';
            open = undefined;
            continue;
          }
          open.parts.push(part);
        } else {
          if (open !== undefined) open.unusable = 'damaged';
          open = beginMember(file, part);
          members.push(open);
          if (open.unusable === undefined) usable++;
        }
        if (!file.splitAfter) {
          open.whole = true;
          open = undefined;
        } else if (jump && volume < count - 2 && this.#endsIn(open, count - 1)) {
          volume = count - 2;
        }
      }
      if (usable === 0 && members.length >= GIVE_UP_AFTER) break;
      if (open === undefined && !content.more) break;
    }
    const total = this.#totalSize();
    for (const member of members) {
      if (member.unusable !== undefined) continue;
      if (!member.whole) member.unusable = 'incomplete';
      else if (jump ? member.size > total : bytesOf(member) !== member.size) member.unusable = 'damaged';
    }
    return members;
  }

  #endsIn(open: Open, volume: number): boolean {
    const first = this.#content(volume)?.pieces[0];
    return first !== undefined && first.file.splitBefore && continues(open.file, first.file);
  }

  #totalSize(): number {
    let total = 0;
    for (let volume = 0; volume < this.#volumes.count; volume++) total += this.#volumes.size(volume);
    return total;
  }

  /** Reads a volume. Undefined where it does not belong to this set. */
  #content(volume: number): VolumeContent | undefined {
    if (this.#read.has(volume)) return this.#read.get(volume);
    const content = this.#readVolume(volume);
    this.#read.set(volume, content);
    return content;
  }

  #readVolume(volume: number): VolumeContent | undefined {
    const { signature, block } = this.#format;
    const reader = new HeaderReader(this.#volumes, volume);
    if (reader.bytes(0, signature.length)?.equals(signature) !== true) return undefined;
    const pieces: Piece[] = [];
    let unusable = 0;
    let isVolume = false;
    for (let offset = signature.length; this.#headers < MAX_HEADERS; this.#headers++) {
      const found = block(reader, offset);
      // RAR 2 and older write no end block: only the name of the volume tells whether another follows.
      if (found === undefined) return { pieces, more: isVolume };
      offset = found.end;
      if (found.kind === 'main') {
        if (found.encrypted) return undefined;
        if (volume > 0 && (!found.volume || (found.number ?? volume) !== volume)) return undefined;
        isVolume = found.volume;
      } else if (found.kind === 'file') {
        const { file, dataOffset, dataLength } = found;
        this.#nameBytes += file.name.length;
        if (this.#nameBytes > MAX_ALL_NAMES_BYTES) return { pieces, more: false };
        pieces.push({ file, part: { volume, offset: dataOffset, length: dataLength } });
        if (file.splitAfter) return { pieces, more: true };
        if (reasonAgainst(file) !== undefined) unusable++;
        if (unusable === pieces.length && unusable >= GIVE_UP_AFTER) return { pieces, more: false };
      } else if (found.kind === 'end') {
        return { pieces, more: found.more };
      } else if (found.kind === 'encrypted') {
        return undefined;
      }
    }
    return { pieces, more: false };
  }
}

function beginMember(file: RarFile, part: Part): Open {
  const { size } = file;
  const unusable = reasonAgainst(file);
  const name = unusable === undefined ? file.name : file.name.subarray(0, MAX_NAME_BYTES);
  return { name, size, file, parts: [part], whole: false, ...(unusable === undefined ? {} : { unusable }) };
}

function reasonAgainst(file: RarFile): Unusable | undefined {
  if (!file.regular) return 'not a file';
  if (file.name.length === 0 || file.name.length > MAX_NAME_BYTES) return 'damaged';
  if (file.encrypted) return 'encrypted';
  if (!file.stored) return 'compressed';
  return Number.isSafeInteger(file.size) ? undefined : 'damaged';
}

function continues(begun: RarFile, file: RarFile): boolean {
  return begun.size === file.size && begun.stored === file.stored && begun.name.equals(file.name);
}

function bytesOf({ parts }: Open): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}
