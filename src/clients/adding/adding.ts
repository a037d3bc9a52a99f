/** One torrent on its way into a client, from the request to its result. */
import { AutotorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import type { AddRequest, AddResult } from '../client.ts';

export class Adding {
  readonly request: AddRequest;
  #result: AddResult | undefined;
  #mayBeThere = false;

  constructor(request: AddRequest) {
    this.request = request;
  }

  get metainfo(): Metainfo {
    return this.request.metainfo;
  }

  /** Undefined while it goes on. */
  get result(): AddResult | undefined {
    return this.#result;
  }

  /** It was sent, and the client did not refuse it: the client may have it from us, also where the answer was lost. */
  get mayBeThere(): boolean {
    return this.#mayBeThere;
  }

  /** To be called before the request leaves. */
  sent(): void {
    this.#mayBeThere = true;
  }

  added(names?: readonly (readonly string[])[], laterNames?: readonly (readonly string[] | undefined)[]): void {
    this.#result = {
      outcome: 'added',
      ...(names === undefined ? {} : { names }),
      ...(laterNames === undefined ? {} : { laterNames }),
    };
  }

  /** The client has it, and not from us. */
  exists(): void {
    this.#mayBeThere = false;
    this.#result = { outcome: 'exists' };
  }

  /** The client itself says that it does not take it. */
  refused(error: AutotorrentError): void {
    this.#mayBeThere = false;
    this.failed(error);
  }

  /** It failed; whatever the client has of it is removed. */
  failed(error: AutotorrentError): void {
    this.#result = { outcome: 'failed', error };
  }

  /** Runs `work`; an `AutotorrentError` that it throws is this torrent's failure, and not that of the batch. */
  async attempt(work: () => void | Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof AutotorrentError)) throw error;
      this.failed(error);
    }
  }
}
