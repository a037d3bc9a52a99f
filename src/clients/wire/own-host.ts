/** Whether a host is this machine: the one place that says which addresses are. */

/** `host` is a name or an address, an IPv6 one with or without brackets. True for `localhost`, `127.0.0.0/8` and `::1`. */
export function isOwnHost(host: string): boolean {
  return /^(?:localhost\.?|127(?:\.\d{1,3}){3}|\[::1\]|::1)$/i.test(host);
}

/** The host under which a program is reached from this machine that listens at `address`: every address, where it names none. */
export function reachedAt(address: unknown): string {
  if (typeof address !== 'string' || ['', '*', '0.0.0.0', '::', '[::]'].includes(address)) return '127.0.0.1';
  return address.includes(':') && !address.startsWith('[') ? `[${address}]` : address;
}

/** The host of `host:port`, which has brackets where it is an IPv6 address; empty for a path. */
export function hostIn(place: string): string {
  return /^(?:\[[^\]]*\]|[^:/]*)/.exec(place)?.[0] ?? '';
}
