/** What `status` says of the watch of sources, of the healer and of repairs. */
import type { Config } from '../config/config.ts';
import type {
  HealerStatus,
  KeptStatus,
  LeaseStatus,
  RepairStatus,
  ServerStatus,
  WatchStatus,
} from '../control/served.ts';
import type { KeptFiles } from '../rescue/kept-files.ts';
import type { FileSystem } from '../vfs/file-system.ts';
import type { WatchingSources } from './news/watching.ts';
import type { Repairs } from './processes/repair.ts';
import type { CaseQueue } from './settling/queue.ts';

export interface LivingStatusParts {
  readonly watching: Pick<WatchingSources, 'watched'>;
  readonly queue: Pick<CaseQueue, 'counts'>;
  readonly fileSystem: Pick<FileSystem, 'leaseCounts' | 'backingCounts'>;
  readonly kept: Pick<KeptFiles, 'usage'>;
  readonly pins: Pick<KeptFiles, 'usage'>;
  readonly repairs: Pick<Repairs, 'queued' | 'spent'>;
  readonly config: Pick<Config, 'onLoss' | 'repairLimit'>;
}

export async function livingStatus({
  watching,
  queue,
  repairs,
  fileSystem,
  kept,
  pins,
  config,
}: LivingStatusParts): Promise<
  Pick<ServerStatus, 'watch' | 'healer' | 'repair' | 'leases' | 'passthrough' | 'kept' | 'pins'>
> {
  return {
    watch: await watchStatus(watching),
    healer: healerStatus(queue),
    repair: repairStatus(repairs, config),
    leases: leaseStatus(fileSystem),
    passthrough: fileSystem.backingCounts ?? { files: 0, changed: 0 },
    kept: byFolder(kept),
    pins: byFolder(pins),
  };
}

function byFolder(files: Pick<KeptFiles, 'usage'>): readonly KeptStatus[] {
  return files.usage().toSorted((a, b) => (a.folder < b.folder ? -1 : 1));
}

function leaseStatus({ leaseCounts }: LivingStatusParts['fileSystem']): LeaseStatus {
  return { held: leaseCounts?.held ?? 0, awaited: leaseCounts?.wanted ?? 0 };
}

async function watchStatus(watching: LivingStatusParts['watching']): Promise<WatchStatus> {
  const { fileSystems, asleep } = await watching.watched();
  return {
    fileSystems: fileSystems.map(({ mountPoint, kind, marks, unwatched, why, overflows }) => ({
      mountPoint: mountPoint.toString(),
      kind,
      marks,
      unwatched,
      ...(why === undefined ? {} : { why }),
      overflows,
    })),
    asleep: [...asleep].map(([disk, folders]) => ({ disk, folders })),
  };
}

function healerStatus(queue: LivingStatusParts['queue']): HealerStatus {
  const { open, urgent, settled, oldestMs } = queue.counts();
  return { open, urgent, settled, ...(oldestMs === undefined ? {} : { oldest: new Date(oldestMs) }) };
}

function repairStatus(repairs: LivingStatusParts['repairs'], config: LivingStatusParts['config']): RepairStatus {
  const spentBytes = repairs.spent(Date.now());
  return { onLoss: config.onLoss, queued: repairs.queued, spentBytes, limitBytes: config.repairLimit };
}
