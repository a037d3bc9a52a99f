/**
 * `npm run test:fuzz`: runs every fuzz target, or `npm run test:fuzz -- NAME…` those, for a while.
 *
 * FUZZ_SECONDS for each target (default 60); FUZZ_SEED repeats a run, whose seed is printed. The input of a finding is kept in
 * `test/fuzz/corpus/NAME/`: mend the fault, and commit it as its regression. Exits with 1 after a finding.
 */
import { randomInt } from 'node:crypto';
import { CORPUS } from './inputs.ts';
import { fuzz, keep } from './runner.ts';
import { TARGETS } from './targets.ts';

const named = process.argv.slice(2);
const unknown = named.filter((name) => !TARGETS.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`no fuzz target is named ${unknown.join(', ')}; there are ${TARGETS.join(', ')}\n`);
  process.exit(2);
}
const seed = numberOf('FUZZ_SEED', randomInt(2 ** 31));
const seconds = numberOf('FUZZ_SECONDS', 60);
process.stdout.write(`FUZZ_SEED=${seed} FUZZ_SECONDS=${seconds}\n`);
for (const name of named.length > 0 ? named : TARGETS) {
  const { inputs, findings } = await fuzz(name, { seed, seconds });
  process.stdout.write(`${name}: ${inputs} inputs, ${findings.length} finding(s)\n`);
  for (const finding of findings) {
    process.stdout.write(`\n${keep(finding, CORPUS)} (input ${finding.number}):\n${finding.fault}\n\n`);
    process.exitCode = 1;
  }
}

function numberOf(variable: string, otherwise: number): number {
  const value = Number(process.env[variable] ?? otherwise);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new Error(`${variable} is no number`);
}
