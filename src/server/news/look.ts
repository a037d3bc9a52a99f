/** Looks at files for the news of sources: opened as every source is, for a moment. */
import { close } from 'node:fs';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { DescriptorBudget } from '../../native/descriptor-budget.ts';
import type { WriterCalls } from '../../native/writers.ts';
import { type OpenedSource, openSourceAsIs } from '../../source/open-source.ts';
import type { SourceAccess } from '../../source/source-access.ts';
import type { LookAt } from './parts.ts';

const closeAsync = promisify(close);

export interface LookParts {
  readonly access: SourceAccess;
  /** Absent: no file is known to have no writer. */
  readonly writers: WriterCalls | undefined;
  readonly descriptors: DescriptorBudget;
}

export function lookWith({ access, writers, descriptors }: LookParts): LookAt {
  const share = descriptors.share(() => false);
  return async (path) => {
    let opened: OpenedSource | undefined;
    const turn = await access.turns.at(path);
    const fd = await share
      .open(async () => {
        const answer = await openSourceAsIs(path, access, turn);
        if (answer.state === 'absent') throw new NotThere();
        opened = answer;
        return answer.fd;
      })
      .catch((error: unknown) => {
        if (error instanceof NotThere) return undefined;
        throw error;
      });
    if (fd === undefined || opened === undefined) return undefined;
    try {
      const { identity, stats } = opened;
      const { handles } = await access.fileSystems.kindOf(path, identity.dev);
      // Whoever had it open before has closed it, which the watch reports.
      const quiet = handles && writers?.hasNoWriter(fd) === true;
      const place = await turn(async () => await access.placing.placeAt(path, identity.dev));
      // The handle is that of the path: it may lead to another file by now.
      const now = await turn(async () => await stat(path, { bigint: true })).catch(() => undefined);
      if (now?.ino !== identity.ino || Number(now.dev) !== identity.dev) return undefined;
      return { identity, links: Number(stats.nlink), quiet, ...place };
    } finally {
      share.closed();
      await access.released.during(path, async () => await turn(async () => await closeAsync(fd)));
    }
  };
}

class NotThere extends Error {}
