/**
 * Shows an address without its secrets. Every message and log line that names a URL or a host takes it from here, also one
 * that is no URL, since a password with a `/`, a `#` or a space in it makes no URL of what holds it.
 *
 * What might be a secret is hidden, so some harmless text is, too:
 *
 *     http://me:secret@host:80/RPC2       http://***@host:80/RPC2
 *     http://me:se/cr@et@host/RPC2        http://***@host/RPC2         up to the last @
 *     me:secret@host, http:/me:secret@h   ***@host, http:/***@h
 *     http://me:secret                    http://me:***                what stands for a port, and is none
 *     http://host/announce?passkey=0123   http://host/announce?***
 */

const HIDDEN = '***';
/** The schemes of our addresses, also with a wrong number of slashes. Another word before a `:` may be a user's name. */
const SCHEME = /^(?:(?:https?|scgi|unix|tcp|wss?|udp):[/\\]*|[a-z][a-z0-9+.-]*:\/\/)/i;
/** A host and, after a `:`, its port; a host may be an IPv6 address in brackets. */
const AUTHORITY = /^(\[[0-9a-f:.%]*\]|[^:]*)(:.*)?$/is;

export function shownUrl(text: string): string {
  const url = text.trim();
  const scheme = SCHEME.exec(url)?.[0] ?? '';
  const rest = url.slice(scheme.length);
  const at = rest.lastIndexOf('@');
  const shown = withoutQuery(at < 0 ? rest : rest.slice(at + 1));
  return `${scheme}${at < 0 ? '' : `${HIDDEN}@`}${withoutFalsePort(shown)}`;
}

/**
 * Leaves of each URL in a text its scheme and host: what a client says may name a tracker, whose path or query holds the
 * user's passkey.
 */
export function withoutUrls(text: string): string {
  return text.replaceAll(/[a-z][a-z0-9+.-]*:\/\/[^\s"'<>()[\]{}]+/gi, (url) => {
    const [, host = '', rest = ''] = /^([a-z][a-z0-9+.-]*:\/\/[^/?#]*)(.*)$/is.exec(shownUrl(url)) ?? [];
    return rest.length <= 1 ? host + rest : `${host}/…`;
  });
}

function withoutQuery(text: string): string {
  const end = text.search(/[?#]/);
  return end < 0 || end === text.length - 1 ? text : `${text.slice(0, end + 1)}${HIDDEN}`;
}

/** Hides what stands where a port should, to the end: a password may go on after a `/`. */
function withoutFalsePort(text: string): string {
  const end = text.search(/[/\\?#\s]/);
  const authority = end < 0 ? text : text.slice(0, end);
  const [, host = '', port] = AUTHORITY.exec(authority) ?? [];
  if (port === undefined || /^:\d{0,5}$/.test(port)) return text;
  return `${host}:${HIDDEN}`;
}
