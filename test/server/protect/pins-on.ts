import { join } from 'node:path';
import type { KeptFiles, KeptFilesOptions } from '../../../src/rescue/kept-files.ts';
import { ID, keeperOn } from '../../rescue/keeping.ts';

/** Opens what makes pins of files on `disk`. */
export function pinsOn(disk: string, base: string, options: Partial<KeptFilesOptions> = {}): KeptFiles {
  return keeperOn(disk, base, { state: { id: ID, path: join(base, 'state'), pins: true }, ...options });
}
