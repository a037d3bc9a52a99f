import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { ofDestination } from './destination-error.ts';
import { type Place, shownPlace } from './place.ts';

/** Waits until a file is on the disk. @throws DestinationError */
export async function synced(place: Place): Promise<void> {
  await ofDestination(shownPlace(place), async () => {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const file = await open(place.folder.at(place.name), flags);
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  });
}
