/**
 * `check-lock.js [FILE]`: checks that package-lock.json pins the bytes of every package, for every machine.
 *
 * Each package of the registry must have an `integrity`, and no `resolved` may name a host: npm then asks the configured
 * registry. `.npmrc` makes npm leave it out.
 */
import { readFileSync } from 'node:fs';

interface Package {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
}

const [file = 'package-lock.json'] = process.argv.slice(2);
const { packages } = JSON.parse(readFileSync(file, 'utf8')) as { packages: Readonly<Record<string, Package>> };

const complaints = Object.entries(packages).flatMap(([path, { integrity, resolved = '', link = false }]) => {
  // Skipped: packages of this repository, the project itself (''), and links to them.
  if (!path.includes('node_modules/') || link) return [];
  return [
    ...(integrity?.startsWith('sha512-') === true ? [] : [`${path} has no integrity of SHA-512`]),
    ...(/^[a-z+]+:/.test(resolved) ? [`${path} is resolved to ${resolved}`] : []),
  ];
});
for (const complaint of complaints) process.stderr.write(`${file}: ${complaint}\n`);
if (complaints.length > 0) {
  process.stderr.write('Make it anew: rm -rf node_modules package-lock.json && npm install\n');
  process.exitCode = 1;
}
