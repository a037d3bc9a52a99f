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

const DRIVERS: Readonly<Record<string, (parts: DriverParts) => Driver>> = {
  auto: createFuseNativeDriver,
  kernel: createKernelDriver,
  'fuse-native': createFuseNativeDriver,
};

/** Makes the driver of a name. `auto` takes the best one available. @throws AutotorrentError('USAGE') for another name */
export function chooseDriver(name: string, parts: DriverParts): Driver {
  const create = Object.hasOwn(DRIVERS, name) ? DRIVERS[name] : undefined;
  if (create !== undefined) return create(parts);
  throw new AutotorrentError('USAGE', `there is no driver ${name}`, {
    hint: `Use one of these: ${Object.keys(DRIVERS).join(', ')}.`,
  });
}
