/** A typed array that grows: for 5 million files, an array of objects is out of the question. */
export class GrowingColumn<T extends Float64Array | Uint32Array> {
  length = 0;
  #array: T;
  readonly #make: (length: number) => T;
  readonly #slice: (array: T, length: number) => T;

  constructor(make: (length: number) => T, slice: (array: T, length: number) => T) {
    this.#make = make;
    this.#slice = slice;
    this.#array = make(1024);
  }

  /** The numbers so far, as a view that is stale after the next addition. */
  get view(): T {
    return this.#slice(this.#array, this.length);
  }

  append(values: T): void {
    this.#reserve(values.length);
    this.#array.set(values, this.length);
    this.length += values.length;
  }

  /** Adds the values of `of(0)` to `of(count - 1)`. */
  extend(count: number, of: (index: number) => number): void {
    this.#reserve(count);
    for (let i = 0; i < count; i++) this.#array[this.length + i] = of(i);
    this.length += count;
  }

  set(index: number, value: number): void {
    this.#array[index] = value;
  }

  #reserve(count: number): void {
    if (this.length + count <= this.#array.length) return;
    const larger = this.#make(Math.max(this.length + count, this.#array.length + (this.#array.length >> 1)));
    larger.set(this.view);
    this.#array = larger;
  }
}

export function float64Column(): GrowingColumn<Float64Array> {
  return new GrowingColumn<Float64Array>(
    (n) => new Float64Array(n),
    (array, n) => array.subarray(0, n),
  );
}

export function uint32Column(): GrowingColumn<Uint32Array> {
  return new GrowingColumn<Uint32Array>(
    (n) => new Uint32Array(n),
    (array, n) => array.subarray(0, n),
  );
}
