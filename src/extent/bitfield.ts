/**
 * Bitfields as BitTorrent writes them (BEP 3): one bit a piece, the most significant bit of the first byte first, and
 * zeros in the spare bits of the last byte.
 */

/** Makes a bitfield of `bits` zeros. */
export function emptyBitfield(bits: number): Buffer {
  return Buffer.alloc(Math.ceil(bits / 8));
}

/** Makes a bitfield of `bits` ones, its spare bits zero. */
export function fullBitfield(bits: number): Buffer {
  const field = Buffer.alloc(Math.ceil(bits / 8), 0xff);
  clearSpareBits(field, bits);
  return field;
}

/** Clears the bits after the first `bits`: for bitfields that come from elsewhere. */
export function clearSpareBits(field: Buffer, bits: number): void {
  const whole = bits >>> 3;
  if (whole >= field.length) return;
  field[whole] = (field[whole] ?? 0) & ~(0xff >>> (bits & 7));
  field.fill(0, whole + 1);
}

/** Tells if a bit is set. False for a bit beyond the end. */
export function hasBit(field: Buffer, bit: number): boolean {
  return ((field[bit >>> 3] ?? 0) & (0x80 >>> (bit & 7))) !== 0;
}

/** Sets a bit. @throws RangeError for a bit beyond the end */
export function setBit(field: Buffer, bit: number): void {
  field[byteOf(field, bit)]! |= 0x80 >>> (bit & 7);
}

/** Clears a bit. @throws RangeError for a bit beyond the end */
export function clearBit(field: Buffer, bit: number): void {
  field[byteOf(field, bit)]! &= ~(0x80 >>> (bit & 7));
}

/** Counts the bits that are set. */
export function countBits(field: Buffer): number {
  let count = 0;
  for (let byte of field) {
    byte -= (byte >> 1) & 0x55;
    byte = (byte & 0x33) + ((byte >> 2) & 0x33);
    count += (byte + (byte >> 4)) & 0x0f;
  }
  return count;
}

function byteOf(field: Buffer, bit: number): number {
  if (!Number.isInteger(bit) || bit < 0 || bit >= field.length * 8) {
    throw new RangeError(`bit ${bit} is outside a bitfield of ${field.length * 8} bits`);
  }
  return bit >>> 3;
}
