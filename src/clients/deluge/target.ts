/** Where a daemon's address leads. */
export const DEFAULT_PORT = 58846;

/** Reads `host:port`, or a host alone; undefined for a text of another form. */
export function daemonTarget(address: string): { readonly host: string; readonly port: number } | undefined {
  const [, bracketed, plain, port = String(DEFAULT_PORT)] =
    /^(?:\[([0-9a-f:.]+)\]|([^\s:/@]+))(?::(\d{1,5}))?$/i.exec(address) ?? [];
  const host = bracketed ?? plain;
  return host === undefined || Number(port) > 65_535 ? undefined : { host, port: Number(port) };
}
