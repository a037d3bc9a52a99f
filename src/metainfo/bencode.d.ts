/** bencode 4.0.1 comes without types. Strings are decoded to Uint8Array where no encoding is given. */
declare module 'bencode' {
  const bencode: {
    decode(data: Uint8Array): unknown;
    encode(value: unknown): Uint8Array;
  };
  export default bencode;
}
