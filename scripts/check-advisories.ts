/**
 * `npm run check:advisories`: asks the registry for known vulnerabilities of what a user installs (no devDependencies), and
 * fails for high and critical ones.
 *
 * A registry that does not answer, or has no advisories (a mirror), is no fault of the change: then it says so, and passes.
 */
import { spawnSync } from 'node:child_process';
import { printable } from '../src/printable.ts';

/** The part of `npm audit --json` that is used (npm 9 to 11). */
interface Report {
  readonly vulnerabilities: Readonly<Record<string, Vulnerability>>;
}

interface Vulnerability {
  readonly severity: string;
  /** Advisories, or the names of dependencies that have them. */
  readonly via: readonly (string | { readonly title?: string; readonly url?: string; readonly range?: string })[];
}

const PATIENCE_MS = 120_000;
const FATAL: ReadonlySet<string> = new Set(['high', 'critical']);

const args = ['audit', '--omit=dev', '--json', '--fetch-retries=0', '--fetch-timeout=30000'];
const { stdout, error } = spawnSync('npm', args, { encoding: 'utf8', timeout: PATIENCE_MS, maxBuffer: 64 * 2 ** 20 });
const found = parsed(stdout);
if (error !== undefined) unchecked(error.message);
else if (!isReport(found)) unchecked(reasonIn(found));
else {
  const all = Object.entries(found.vulnerabilities);
  for (const [name, { severity, via }] of all) {
    const advisories = via.map((one) =>
      typeof one === 'string' ? `by ${one}` : [one.title, one.range, one.url].filter(Boolean).join(', '),
    );
    say(`${name}: ${severity}: ${advisories.join('; ')}`);
  }
  const fatal = all.filter(([, { severity }]) => FATAL.has(severity)).length;
  say(`${all.length} known vulnerabilities, ${fatal} of them high or critical`);
  if (fatal > 0) process.exitCode = 1;
}

function unchecked(reason: string): void {
  say(`not checked for known vulnerabilities: the registry gives no advisories (${reason})`);
}

/** What the registry writes is not ours. */
function say(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isReport(value: unknown): value is Report {
  if (typeof value !== 'object' || value === null || !('vulnerabilities' in value)) return false;
  return typeof value.vulnerabilities === 'object' && value.vulnerabilities !== null;
}

/** Without the address that npm names: the reason is enough. */
function reasonIn(value: unknown): string {
  const message = typeof value === 'object' && value !== null && 'message' in value ? String(value.message) : '';
  return message.replace(/ - \w+ https?:.*$/s, '').slice(0, 200) || 'no report';
}
