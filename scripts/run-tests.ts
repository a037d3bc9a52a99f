/** Runs the built tests: `run-tests.js [NAME…]` runs those whose path holds one of the names. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const root = join('dist', 'test');
const names = process.argv.slice(2);
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => names.length === 0 || names.some((name) => file.includes(name)))
  .map((file) => join(root, file))
  .toSorted();
if (files.length === 0) throw new Error(`no test file under ${root} matches: ${names.join(' ')}`);

const child = spawn(process.execPath, ['--enable-source-maps', '--test', '--test-reporter=spec', ...files], {
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
