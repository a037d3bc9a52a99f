/** Gathers the paths to which files have come, or where they were written, until nobody writes there any more. */
import type { WatchEvent } from '../../watch/protocol.ts';

/** Milliseconds without an event of a path. */
const QUIET_MS = 3000;
/** Paths that are remembered; what is beyond is found when the index is renewed. */
const MOST = 10_000;

export class NewFiles {
  readonly #onFiles: (paths: readonly Buffer[]) => void;
  readonly #quietMs: number;
  /** By byte string: when the last event came, by `performance.now()`. */
  readonly #at = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(onFiles: (paths: readonly Buffer[]) => void, quietMs = QUIET_MS) {
    this.#onFiles = onFiles;
    this.#quietMs = quietMs;
  }

  take(reports: readonly WatchEvent[]): void {
    for (const report of reports) {
      const path = placeIn(report)?.toString('latin1');
      if (path !== undefined && (this.#at.has(path) || this.#at.size < MOST)) this.#at.set(path, performance.now());
    }
    if (this.#at.size > 0) this.#timer ??= setTimeout(() => this.#fire(), this.#quietMs).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#at.clear();
  }

  #fire(): void {
    this.#timer = undefined;
    const until = performance.now() - this.#quietMs;
    const quiet = [...this.#at].filter(([, at]) => at <= until).map(([path]) => path);
    for (const path of quiet) this.#at.delete(path);
    if (quiet.length > 0) this.#onFiles(quiet.map((path) => Buffer.from(path, 'latin1')));
    this.take([]);
  }
}

function placeIn(report: WatchEvent): Buffer | undefined {
  switch (report.kind) {
    case 'renamed':
      return report.folder ? undefined : report.to;
    case 'appeared':
      return report.folder ? undefined : report.path;
    case 'written':
    case 'closed':
      return report.path;
    default:
      return undefined;
  }
}
