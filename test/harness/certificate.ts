/** Certificates of servers in tests. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './folder.ts';

export interface Certificate {
  readonly key: Buffer;
  readonly cert: Buffer;
}

/** Makes a key and a certificate that it signs itself, under the names that a Deluge daemon gives them. */
export function ownCertificate(folder = temporaryFolder('certificate')): Certificate {
  mkdirSync(folder, { recursive: true });
  const [key, cert] = [join(folder, 'daemon.pkey'), join(folder, 'daemon.cert')];
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=Deluge Daemon', '-days', '2'];
  execFileSync('openssl', [...args, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}
