/** Log lines go to standard error, never to standard output, which carries results. */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

const ORDER: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/**
 * A logger that writes one line a message to `write`.
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
      // A name may hold a line feed or a terminal's escape codes: none reaches the log as it is.
      write(`${time}${label}${printable(message)}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** `text` with control characters (C0, DEL, C1) shown as `\x1b`, so that a hostile name cannot drive the terminal. */
export function printable(text: string): string {
  return text.replaceAll(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
