/** Asks before data is lost. */
import { createInterface } from 'node:readline/promises';
import { AutotorrentError } from '../errors.ts';
import { printable } from '../printable.ts';
import type { CommandContext } from './command.ts';

/** @throws AutotorrentError('USAGE') if nobody can answer */
export async function confirm({ terminal, signal }: CommandContext, question: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY || terminal.json) {
    throw new AutotorrentError('USAGE', 'this cannot be undone, so it asks first, but nobody can answer here', {
      hint: 'give --yes to run it without the question',
    });
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    // At the question, Ctrl-C reaches the interface, not the process.
    const stopped = new Promise<string>((resolve) => {
      asking.once('SIGINT', () => resolve('')).once('close', () => resolve(''));
    });
    const answer = await Promise.race([asking.question(`${printable(question)} [y/N] `, { signal }), stopped]);
    return /^(?:y|yes)$/i.test(answer.trim());
  } finally {
    asking.close();
  }
}
