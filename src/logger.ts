/** Log lines go to standard error, never to standard output, which carries results. */
import { framesOf, messageOf } from './errors.ts';
import { printable } from './printable.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

const ORDER: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/**
 * A logger that writes one line a message to `write`, with `printable`: what a message quotes cannot break the line.
 * `timestamps` is for a server whose lines are read later; a command's lines are read as they come.
 */
export function createLogger(
  level: LogLevel,
  write: (line: string) => void = (line) => void process.stderr.write(line),
  timestamps = false,
): Logger {
  const threshold = ORDER.indexOf(level);
  const at =
    (name: LogLevel) =>
    (message: string): void => {
      if (ORDER.indexOf(name) < threshold) return;
      const time = timestamps ? `${new Date().toISOString()} ` : '';
      const label = name === 'info' ? '' : `${name}: `;
      write(`${time}${label}${printable(message)}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** Logs errors that nothing handles, and then ends this process as Node does: Node itself would print them as they come. */
export function logUncaught(logger: Logger): void {
  process.on('uncaughtException', (error: unknown) => {
    logger.error(messageOf(error));
    for (const line of framesOf(error)) logger.error(line);
    process.exit(1);
  });
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
