/** Lets sources lie anywhere: the disk of the configuration is the root folder. */
import { SourceAccess, type SourceAccessOptions } from '../../src/source/source-access.ts';
import type { SourceRules } from '../../src/source/source-folders.ts';

export const ANYWHERE: SourceRules = { disks: ['/'] };

export function anywhere(options?: SourceAccessOptions): SourceAccess {
  return new SourceAccess(ANYWHERE, options);
}
