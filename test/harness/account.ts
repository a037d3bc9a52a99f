/**
 * The accounts of the clients that tests and the quickstart start. Other users of the machine reach their ports too, and a
 * client without a password runs what they tell it: so each client gets a password of its own, in files of its own.
 */
import { randomBytes } from 'node:crypto';

export interface Account {
  readonly username: string;
  readonly password: string;
}

/** Begins with a letter, so that no part of it looks like the port of a URL. */
export function randomPassword(): string {
  return `p${randomBytes(18).toString('hex')}`;
}

/** The URL with an account in it, as `[client]` takes it. */
export function withAccount(url: string, { username, password }: Account): string {
  const parsed = new URL(url);
  parsed.username = encodeURIComponent(username);
  parsed.password = encodeURIComponent(password);
  return parsed.href.replace(/\/$/, url.endsWith('/') ? '/' : '');
}

/** Takes the account out of a URL again: fetch wants it apart. */
export function accountOf(url: string): Account & { readonly url: string; readonly authorization: string } {
  const parsed = new URL(url);
  const [username, password] = [decodeURIComponent(parsed.username), decodeURIComponent(parsed.password)];
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  return { username, password, authorization, url: url.replace(/\/\/[^/]*@/, '//') };
}
