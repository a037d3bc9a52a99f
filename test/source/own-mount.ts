import { OUR_TYPE } from '../../src/native/mountinfo.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';

/** A mount of autotorrent that is the device `dev`. */
export function ownMountOn(dev: number): OwnMounts {
  const mounts = [{ id: 0, path: Buffer.from('/nowhere'), type: OUR_TYPE, dev, source: 'autotorrent' }];
  return new OwnMounts({ read: async () => mounts, readSync: () => mounts });
}
