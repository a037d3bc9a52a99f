/** Chooses the driver by the name that `--driver` and `driver =` give. */
import { AutotorrentError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { CLibrary } from '../native/c-library.ts';
import type { Driver } from './driver.ts';
import { createKernelDriver } from './kernel/driver.ts';
import { createFuseNativeDriver } from './native/driver.ts';

export interface DriverParts {
  readonly library: CLibrary;
  readonly logger: Logger;
}

const DRIVERS = { kernel: createKernelDriver, 'fuse-native': createFuseNativeDriver } as const;
type DriverName = keyof typeof DRIVERS;

/** The order in which `auto` looks for one that can run. */
const CANDIDATES: readonly DriverName[] = ['fuse-native', 'kernel'];

export interface ChosenDriver {
  readonly driver: Driver;
  /** Why it is this one: a part of a sentence. */
  readonly reason: string;
  /** The drivers that would have come before it and cannot run here, and why. */
  readonly passedOver: readonly string[];
}

/**
 * Makes the driver of a name. `auto` takes the first one that can run here.
 * @throws AutotorrentError('USAGE') for another name; ('MOUNT') if none can run
 */
export function chooseDriver(name: string, parts: DriverParts): ChosenDriver {
  if (name === 'auto') {
    return firstUsable(CANDIDATES.map((candidate) => DRIVERS[candidate](parts)));
  }
  if (!Object.hasOwn(DRIVERS, name)) {
    throw new AutotorrentError('USAGE', `there is no driver ${name}`, {
      hint: `Use one of these: auto, ${Object.keys(DRIVERS).join(', ')}.`,
    });
  }
  return { driver: DRIVERS[name as DriverName](parts), reason: 'it was asked for', passedOver: [] };
}

/** @throws AutotorrentError('MOUNT') if none can run */
export function firstUsable(drivers: readonly Driver[]): ChosenDriver {
  const passedOver: string[] = [];
  const hints: string[] = [];
  for (const driver of drivers) {
    const failure = driver.unusable();
    if (failure === undefined) {
      const reason = passedOver.length === 0 ? 'the first choice of auto' : passedOver.join('; ');
      return { driver, reason, passedOver };
    }
    passedOver.push(`${driver.name} cannot run here: ${failure.message}`);
    if (failure.hint !== undefined) hints.push(failure.hint);
  }
  throw new AutotorrentError('MOUNT', `no driver can run: ${passedOver.join('; ')}`, { hint: hints[0] });
}
