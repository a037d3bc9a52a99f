import type { HeldFolder } from '../../native/held-folder.ts';

/** A name in an open folder. */
export interface Place {
  readonly folder: HeldFolder;
  readonly name: string;
}

/** A path for messages. */
export const shownPlace = ({ folder, name }: Place): string => `${folder.shown}/${name}`;
