/** The program, which `start.cts` loads: runs the command line and ends with its exit code. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runProgram } from './cli/program.ts';
import { createLogger, logUncaught } from './logger.ts';

logUncaught(createLogger('error'));

// A reader that goes away (`autotorrent list | head`) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const exitCode = await runProgram(process.argv.slice(2), {
  program: fileURLToPath(import.meta.url),
  version: manifest.version,
});
// A pipe takes 64 KiB, and the end of the process does not wait for a slow reader to take the rest.
const written = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    stream.write('', () => resolve());
  });
await Promise.all([written(process.stdout), written(process.stderr)]);
process.exit(exitCode);
