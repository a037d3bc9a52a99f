/** `scripts/check-advisories.ts`, beside a registry of our own that knows vulnerabilities. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { temporaryFolder } from '../harness/folder.ts';

/** The name of a package, and how bad what is known of it is. */
type Known = Readonly<Record<string, string>>;

async function check(
  known: Known | undefined,
): Promise<{ code: number | null; said: string; asked: readonly string[] }> {
  let asked: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (known === undefined || request.method !== 'POST') {
        response.writeHead(known === undefined ? 405 : 404).end();
        return;
      }
      const body = Buffer.concat(chunks);
      const names = JSON.parse((body[0] === 0x1f ? gunzipSync(body) : body).toString()) as Record<string, unknown>;
      asked = Object.keys(names);
      const answer = Object.entries(known)
        .filter(([name]) => name in names)
        .map(([name, severity]) => {
          const title = `a hole in \x1b]0;${name}\x07`;
          return [
            name,
            [{ id: 1, url: 'urn:1', title, severity, vulnerable_versions: '*', cwe: [], cvss: {} }],
          ] as const;
        });
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(Object.fromEntries(answer)));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const env = {
    ...process.env,
    npm_config_registry: `http://127.0.0.1:${port}/`,
    npm_config_cache: temporaryFolder('npm-cache'),
    npm_config_audit: 'true',
  };
  try {
    return await new Promise((done) => {
      const child = execFile(process.execPath, ['dist/scripts/check-advisories.js'], { env }, (_, stdout, stderr) =>
        done({ code: child.exitCode, said: stdout + stderr, asked }),
      );
    });
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

describe('scripts/check-advisories.ts', () => {
  it('passes where nothing is known, and asks about what users install alone', async () => {
    const { code, said, asked } = await check({});
    assert.equal(code, 0, said);
    assert.match(said, /^0 known vulnerabilities/m);
    assert.ok(asked.includes('commander'), asked.join());
    assert.ok(!asked.includes('knip'), asked.join());
  });

  it('fails for a high one of a dependency, with its name and title', async () => {
    const { code, said } = await check({ commander: 'high' });
    assert.equal(code, 1, said);
    assert.match(said, /^commander: high: a hole in \\x1b\]0;commander\\x07/m);
    assert.match(said, /1 of them high or critical/);
  });

  it('names a moderate one, and passes', async () => {
    const { code, said } = await check({ commander: 'moderate' });
    assert.equal(code, 0, said);
    assert.match(said, /^commander: moderate: /m);
  });

  it('says so and passes where the registry has no advisories', async () => {
    const { code, said } = await check(undefined);
    assert.equal(code, 0, said);
    assert.match(said, /^not checked for known vulnerabilities: .*405/m);
  });
});
