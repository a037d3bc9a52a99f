/** Asks before something is lost. */
import { createInterface } from 'node:readline/promises';
import { AutotorrentError } from '../errors.ts';
import type { CommandContext } from './command.ts';

/** @throws AutotorrentError('USAGE') where nobody can answer */
export async function confirm({ terminal, signal }: CommandContext, question: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY || terminal.json) {
    throw new AutotorrentError('USAGE', 'this asks before it does what cannot be undone, and nobody can answer here', {
      hint: 'give --yes to have it done without being asked',
    });
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    // Ctrl-C at the question reaches the interface, not the process.
    const stopped = new Promise<string>((resolve) => {
      asking.once('SIGINT', () => resolve('')).once('close', () => resolve(''));
    });
    const answer = await Promise.race([asking.question(`${question} [y/N] `, { signal }), stopped]);
    return /^(?:y|yes)$/i.test(answer.trim());
  } finally {
    asking.close();
  }
}
