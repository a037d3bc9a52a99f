/** Packs and unpacks numbers by format strings like those of Python's `struct`, little-endian: Q q (64 bits), I i, H, x (a zero). */

export function pack(format: string, ...values: readonly (number | bigint)[]): Buffer {
  const parts: Buffer[] = [];
  let next = 0;
  for (const [, count = '', code = ''] of format.matchAll(/(\d*)([QqIiHx])/g)) {
    for (let i = 0; i < Number(count || 1); i++) {
      const part = Buffer.alloc(WIDTH[code]!);
      if (code !== 'x') write(part, code, values[next++]!);
      parts.push(part);
    }
  }
  if (next !== values.length) throw new Error(`${format} takes ${next} values`);
  return Buffer.concat(parts);
}

/** Numbers of 64 bits come as bigint. */
export function unpack(format: string, bytes: Buffer): (number | bigint)[] {
  const values: (number | bigint)[] = [];
  let at = 0;
  for (const [, count = '', code = ''] of format.matchAll(/(\d*)([QqIiHx])/g)) {
    for (let i = 0; i < Number(count || 1); i++) {
      if (code === 'Q') values.push(bytes.readBigUInt64LE(at));
      if (code === 'q') values.push(bytes.readBigInt64LE(at));
      if (code === 'I') values.push(bytes.readUInt32LE(at));
      if (code === 'i') values.push(bytes.readInt32LE(at));
      if (code === 'H') values.push(bytes.readUInt16LE(at));
      at += WIDTH[code]!;
    }
  }
  if (at !== bytes.length) throw new Error(`${format} has ${at} bytes, not ${bytes.length}`);
  return values;
}

const WIDTH: Readonly<Record<string, number>> = { Q: 8, q: 8, I: 4, i: 4, H: 2, x: 1 };

function write(part: Buffer, code: string, value: number | bigint): void {
  if (code === 'Q') part.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  else if (code === 'q') part.writeBigInt64LE(BigInt(value));
  else if (code === 'I') part.writeUInt32LE(Number(value));
  else if (code === 'i') part.writeInt32LE(Number(value));
  else part.writeUInt16LE(Number(value));
}

export interface PackedHeader {
  readonly unique?: bigint;
  readonly node?: bigint | number;
  readonly uid?: number;
  readonly gid?: number;
  readonly pid?: number;
  /** Bytes behind the body, a multiple of 8. */
  readonly extensions?: Buffer;
}

/** Packs a request as the kernel does. */
export function packRequest(opcode: number, body: Buffer, header: PackedHeader = {}): Buffer {
  const { unique = 2n, node = 1, uid = 0, gid = 0, pid = 0, extensions = Buffer.alloc(0) } = header;
  const length = 40 + body.length + extensions.length;
  const fields = [length, opcode, unique, node, uid, gid, pid, extensions.length / 8] as const;
  return Buffer.concat([pack('IIQQIIIHxx', ...fields), body, extensions]);
}

export const text = (...names: readonly string[]): Buffer =>
  Buffer.concat(names.map((name) => Buffer.from(`${name}\0`)));
