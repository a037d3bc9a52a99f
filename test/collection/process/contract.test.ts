import { describeCollection } from '../contract.ts';
import { ProcessVolume } from './process-volume.ts';

describeCollection(
  'through the index process',
  async () => {
    const volume = new ProcessVolume();
    return { collection: volume.open(), remove: () => volume.remove() };
  },
  4,
);
