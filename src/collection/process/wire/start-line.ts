/** The JSON lines that an index process writes to descriptor 3, for the command that started it, until it serves. */
import type { ErrorCode } from '../../../errors.ts';

export type StartLine =
  /** It serves, or another process does. */
  | { readonly ready: true }
  /** Another process holds the database. */
  | { readonly waiting: string }
  /** It ends. */
  | {
      readonly error: {
        readonly code: ErrorCode;
        readonly message: string;
        readonly hint?: string | undefined;
        readonly cause?: string | undefined;
      };
    };
