// Compiles src, test, bench and scripts to dist, from nothing: a test of a deleted file must not linger there.
import { execFileSync } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';

rmSync('dist', { recursive: true, force: true });
try {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.'], { stdio: 'inherit' });
} catch {
  process.exit(1); // the compiler has said what is wrong
}
chmodSync('dist/src/start.cjs', 0o755);
