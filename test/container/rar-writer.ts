/**
 * Writes RAR sets in store mode, of both formats, from descriptions, since no free program does. `rar-writer.test.ts` shows
 * that other programs extract them.
 */
import { crc32 } from '../../src/container/crc32.ts';

export interface RarMember {
  readonly name: string | Buffer;
  readonly data: Buffer;
  /** Not stored: its bytes are arbitrary. */
  readonly compressed?: boolean;
  readonly encrypted?: boolean;
  readonly kind?: 'file' | 'directory' | 'symlink';
}

export interface RarOptions {
  /** The most bytes in a volume; default: one volume. */
  readonly volumeBytes?: number;
  /** RAR4: `.part1.rar` names were meant. */
  readonly newNumbering?: boolean;
  /** RAR4: no end block, as RAR 2 wrote none. */
  readonly noEnd?: boolean;
  /** A recovery record of this many bytes after the members of each volume. */
  readonly recoveryBytes?: number;
}

interface Chunk {
  readonly member: RarMember;
  readonly data: Buffer;
  readonly first: boolean;
  readonly last: boolean;
}

interface Format {
  readonly signature: Buffer;
  main(volume: number, multi: boolean, options: RarOptions): Buffer;
  file(chunk: Chunk): Buffer;
  recovery(data: Buffer): Buffer;
  end(more: boolean, volume: number): Buffer;
}

export function writeRar4(members: readonly RarMember[], options: RarOptions = {}): Buffer[] {
  return write(RAR4, members, options);
}

export function writeRar5(members: readonly RarMember[], options: RarOptions = {}): Buffer[] {
  return write(RAR5, members, options);
}

/** Names volumes as `rar` does: `x.rar, x.r00, …` or `x.part1.rar, …` with as many digits as the last one needs. */
export function volumeNames(stem: string, count: number, style: 'old' | 'part'): string[] {
  const digits = String(count).length;
  return Array.from({ length: count }, (_, i) => {
    if (style === 'part') return `${stem}.part${String(i + 1).padStart(digits, '0')}.rar`;
    if (i === 0) return `${stem}.rar`;
    const letter = String.fromCharCode('r'.charCodeAt(0) + Math.floor((i - 1) / 100));
    return `${stem}.${letter}${String((i - 1) % 100).padStart(2, '0')}`;
  });
}

function write(format: Format, members: readonly RarMember[], options: RarOptions): Buffer[] {
  const most = options.volumeBytes ?? Number.POSITIVE_INFINITY;
  const multi = options.volumeBytes !== undefined;
  const tail = (volume: number, more: boolean): Buffer[] => [
    ...(options.recoveryBytes === undefined ? [] : [format.recovery(Buffer.alloc(options.recoveryBytes, 0x52))]),
    ...(options.noEnd === true ? [] : [format.end(more, volume)]),
  ];
  const volumes: Buffer[] = [];
  let blocks: Buffer[] = [format.signature, format.main(0, multi, options)];
  const used = (): number => blocks.reduce((sum, block) => sum + block.length, 0);
  const room = (): number => most - used() - tail(volumes.length, true).reduce((sum, block) => sum + block.length, 0);
  const finish = (more: boolean): void => {
    volumes.push(Buffer.concat([...blocks, ...tail(volumes.length, more)]));
    blocks = [format.signature, format.main(volumes.length, multi, options)];
  };
  for (const member of members) {
    for (let at = 0, first = true, last = false; !last; first = false) {
      const whole = { member, data: member.data.subarray(at), first, last: true };
      const header = format.file(whole).length - whole.data.length;
      // If it does not fit, a volume ends: with a part of it, or before it.
      if (room() <= header && blocks.length > 2) finish(true);
      const length = Math.min(whole.data.length, room() - header);
      if (length <= 0 && whole.data.length > 0) throw new Error('volumes are too small');
      last = length === whole.data.length;
      blocks.push(format.file({ ...whole, data: whole.data.subarray(0, length), last }));
      at += length;
      if (!last) finish(true);
    }
  }
  finish(false);
  return volumes;
}

// RAR 2.9 to 4 --------------------------------------------------------------------------------------------------------

function block4(type: number, flags: number, fields: Buffer, data: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(7);
  header[2] = type;
  header.writeUInt16LE(flags, 3);
  header.writeUInt16LE(7 + fields.length, 5);
  const whole = Buffer.concat([header, fields]);
  whole.writeUInt16LE(crc32(whole.subarray(2)) & 0xffff, 0);
  return Buffer.concat([whole, data]);
}

const RAR4: Format = {
  signature: Buffer.from('526172211a0700', 'hex'),
  main: (volume, multi, options) => {
    const flags = multi ? 0x01 | (options.newNumbering === true ? 0x10 : 0) | (volume === 0 ? 0x100 : 0) : 0;
    return block4(0x73, flags, Buffer.alloc(6));
  },
  file: ({ member, data, first, last }) => {
    const { name, wide } = name4(typeof member.name === 'string' ? member.name.replaceAll('/', '\\') : member.name);
    const large = member.data.length > 0xffffffff;
    const fields = Buffer.alloc(25);
    fields.writeUInt32LE(data.length % 2 ** 32, 0);
    fields.writeUInt32LE(member.data.length % 2 ** 32, 4);
    fields[8] = 3; // Unix
    fields.writeUInt32LE(crc32(last ? member.data : data), 9);
    fields.writeUInt32LE(0x5921_6000, 13);
    fields[17] = 29;
    fields[18] = member.compressed === true ? 0x33 : 0x30;
    fields.writeUInt16LE(name.length, 19);
    const kind = member.kind ?? 'file';
    fields.writeUInt32LE(kind === 'directory' ? 0o040755 : kind === 'symlink' ? 0o120777 : 0o100644, 21);
    const high = Buffer.alloc(large ? 8 : 0);
    const encrypted = member.encrypted === true;
    const flags =
      0x8000 |
      (first ? 0 : 0x01) |
      (last ? 0 : 0x02) |
      (encrypted ? 0x404 : 0) |
      (kind === 'directory' ? 0xe0 : 0) |
      (large ? 0x100 : 0) |
      (wide ? 0x200 : 0);
    return block4(0x74, flags, Buffer.concat([fields, high, name, Buffer.alloc(encrypted ? 8 : 0)]), data);
  },
  recovery: (data) => {
    const fields = Buffer.alloc(27);
    fields.writeUInt32LE(data.length, 0);
    fields.writeUInt32LE(data.length, 4);
    fields.writeUInt32LE(crc32(data), 9);
    fields[17] = 29;
    fields[18] = 0x30;
    fields.writeUInt16LE(2, 19);
    fields.write('RR', 25);
    return block4(0x7a, 0x8000, fields, data);
  },
  end: (more, volume) => {
    const number = Buffer.alloc(2);
    number.writeUInt16LE(volume);
    return block4(0x7b, 0x4008 | (more ? 1 : 0), number);
  },
};

/** One byte a character, then a zero, then the name in UTF-16, here always two whole bytes a character. */
function name4(name: string | Buffer): { readonly name: Buffer; readonly wide: boolean } {
  if (typeof name !== 'string') return { name, wide: false };
  if (Buffer.byteLength(name) === name.length) return { name: Buffer.from(name), wide: false };
  const units = Array.from({ length: name.length }, (_, i) => name.charCodeAt(i));
  const narrow = Buffer.from(units.map((unit) => (unit < 0x80 ? unit : 0x5f)));
  const packed: number[] = [0];
  for (const [i, unit] of units.entries()) {
    if (i % 4 === 0) packed.push(0b10101010);
    packed.push(unit & 0xff, unit >>> 8);
  }
  return { name: Buffer.concat([narrow, Buffer.alloc(1), Buffer.from(packed)]), wide: true };
}

// RAR 5 ---------------------------------------------------------------------------------------------------------------

/** 7 bits a byte, the lowest first. */
export function vint(value: number, bytes = 1): Buffer {
  const out: number[] = [];
  for (let rest = value; rest > 0 || out.length < bytes; rest = Math.floor(rest / 128)) out.push((rest % 128) | 0x80);
  const last = out.length - 1;
  out[last] = (out[last] ?? 0) & 0x7f;
  return Buffer.from(out);
}

export function block5(type: number, flags: number, fields: Buffer, extra: Buffer, data: Buffer, padTo = 1): Buffer {
  const allFlags = flags | (extra.length > 0 ? 1 : 0) | (data.length > 0 || type === 2 ? 2 : 0);
  const body = Buffer.concat([
    vint(type),
    vint(allFlags),
    extra.length > 0 ? vint(extra.length) : Buffer.alloc(0),
    (allFlags & 2) !== 0 ? vint(data.length, padTo) : Buffer.alloc(0),
    fields,
    extra,
  ]);
  const sized = Buffer.concat([vint(body.length, Math.min(padTo, 3)), body]);
  const crc = Buffer.alloc(4);
  crc.writeUInt32LE(crc32(sized));
  return Buffer.concat([crc, sized, data]);
}

const none: Buffer = Buffer.alloc(0);

const RAR5: Format = {
  signature: Buffer.from('526172211a070100', 'hex'),
  main: (volume, multi) => {
    const fields = multi ? [vint(volume > 0 ? 3 : 1), ...(volume > 0 ? [vint(volume)] : [])] : [vint(0)];
    return block5(1, 0, Buffer.concat(fields), none, none);
  },
  file: ({ member, data, first, last }) => {
    const name = Buffer.from(member.name);
    const kind = member.kind ?? 'file';
    const crc = Buffer.alloc(4);
    crc.writeUInt32LE(crc32(last ? member.data : data));
    const directory = kind === 'directory';
    const mode = directory ? 0o040755 : kind === 'symlink' ? 0o120777 : 0o100644;
    const fields = Buffer.concat([
      vint(directory ? 1 : 4),
      vint(kind === 'symlink' ? 0 : member.data.length),
      vint(mode),
      directory ? none : crc,
      vint(member.compressed === true ? 3 << 7 : 0),
      vint(1), // Unix
      vint(name.length),
      name,
    ]);
    const records: Buffer[] = [];
    if (member.encrypted === true) {
      records.push(Buffer.concat([vint(1), vint(0), vint(0), Buffer.from([15]), Buffer.alloc(32)]));
    }
    if (kind === 'symlink') {
      records.push(Buffer.concat([vint(5), vint(1), vint(0), vint(member.data.length), member.data]));
    }
    const extra = Buffer.concat(records.flatMap((record) => [vint(record.length), record]));
    const flags = (first ? 0 : 0x08) | (last ? 0 : 0x10);
    return block5(2, flags, fields, extra, kind === 'symlink' ? none : data, 5);
  },
  recovery: (data) => {
    const fields = Buffer.concat([vint(0), vint(data.length), vint(0), vint(0), vint(1), vint(2), Buffer.from('RR')]);
    return block5(3, 0x04, fields, none, data);
  },
  end: (more) => block5(5, 0, vint(more ? 1 : 0), none, none),
};
