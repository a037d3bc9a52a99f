/** Asks for a secret on a terminal, without echoing it. */
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { CommandContext } from './command.ts';

/**
 * Asks for a secret; undefined if nobody can be asked, or nothing was typed. Rejects with the signal's reason when
 * aborted.
 */
export async function askSecret({ terminal, signal }: CommandContext, question: string): Promise<string | undefined> {
  if (!process.stdin.isTTY || !process.stderr.isTTY || terminal.json) return undefined;
  terminal.ask(question);
  // readline echoes the input on its output: this one discards it.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  try {
    // Ctrl-C reaches the interface, not the process; Ctrl-D closes it.
    lines.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
    const closed = new Promise<string>((resolve) => {
      lines.once('close', () => resolve(''));
    });
    const answer = await Promise.race([lines.question('', { signal }), closed]);
    return answer === '' ? undefined : answer;
  } finally {
    lines.close();
    terminal.endLine();
  }
}
