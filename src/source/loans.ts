/** Tells those who use something from other threads that they must not use it any more. */
export class Loans {
  readonly #recalls = new Set<() => void>();

  /** `recall` is called once, before what was lent changes or is closed, and must not throw. */
  add(recall: () => void): void {
    this.#recalls.add(recall);
  }

  /** It is used no longer. */
  remove(recall: () => void): void {
    this.#recalls.delete(recall);
  }

  recall(): void {
    for (const recall of this.#recalls) {
      this.#recalls.delete(recall);
      recall();
    }
  }
}
