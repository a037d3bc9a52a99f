/**
 * Who is at the other end of a TCP connection within this machine: the owner of its socket, in /proc/net/tcp and tcp6
 * (proc(5)).
 *
 * The kernel shows no owner of a connection that its program has not accepted yet, and may show no row at all while the
 * queue of that program is full. Who listens can bring that about. So then the listening socket's owner counts.
 */
import { readFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { endianness, networkInterfaces } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf } from '../errors.ts';

/** As a connected `Socket` has them. */
export interface TcpEnds {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

export interface TcpOwner {
  readonly uid: number;
  /** False while no program holds the connection: it is the user who listens, who may hand it to another. */
  readonly holds: boolean;
}

/** The text of a table; undefined where this system shows none. */
export type ReadTable = (name: 'tcp' | 'tcp6') => Promise<Buffer | undefined>;

const TIME_WAIT = '06';
const LISTEN = '0A';
const AGAIN_MS = 10;

/** Whether both ends are on this machine: a connection to another one needs no look at the tables. */
export function isWithinMachine({ localAddress, remoteAddress }: TcpEnds): boolean {
  const remote = plain(remoteAddress);
  if (remote === plain(localAddress) || remote === '::1' || remote.startsWith('127.')) return true;
  return Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === remote) === true);
}

/** The owner of the socket at the other end; undefined if it is not in this network namespace, or /proc cannot tell. */
export async function tcpPeerOwner(ends: TcpEnds, read: ReadTable = readTable): Promise<TcpOwner | undefined> {
  const found = await lookUp(ends, read);
  if (found !== undefined) return found;
  // Rows may be skipped while others come and go: nobody is found only if that is so twice.
  await delay(AGAIN_MS);
  return await lookUp(ends, read);
}

async function lookUp(ends: TcpEnds, read: ReadTable): Promise<TcpOwner | undefined> {
  const tables = plain(ends.remoteAddress).includes(':') ? (['tcp6'] as const) : (['tcp', 'tcp6'] as const);
  let listener: number | undefined;
  for (const name of tables) {
    const table = await read(name);
    if (table === undefined) continue;
    const place = (address: string, port: number): string => `${inTable(address, name)}:${hex(port, 4)}`;
    const own = place(ends.remoteAddress, ends.remotePort);
    const pair = `: ${own} ${place(ends.localAddress, ends.localPort)} `;
    const owner = rowsWith(table, pair).find(({ inode, state }) => inode !== 0 && state !== TIME_WAIT);
    if (owner !== undefined) return { uid: owner.uid, holds: true };
    for (const local of [own, place(name === 'tcp' ? '0.0.0.0' : '::', ends.remotePort)]) {
      listener ??= rowsWith(table, `: ${local} ${place(name === 'tcp' ? '0.0.0.0' : '::', 0)} ${LISTEN} `)[0]?.uid;
    }
  }
  return listener === undefined ? undefined : { uid: listener, holds: false };
}

interface Row {
  readonly state: string;
  readonly uid: number;
  /** 0 while no program holds the socket. */
  readonly inode: number;
}

function rowsWith(table: Buffer, text: string): Row[] {
  const rows: Row[] = [];
  for (let at = table.indexOf(text); at >= 0; at = table.indexOf(text, at + 1)) {
    const end = table.indexOf('\n', at);
    // : local remote state queues timer retransmits uid timeout inode …
    const fields = table.toString('latin1', at, end < 0 ? undefined : end).split(/ +/);
    rows.push({ state: fields[3] ?? '', uid: Number(fields[7]), inode: Number(fields[9]) });
  }
  return rows;
}

/** Without a scope, and an IPv4 address that is written as an IPv6 one as what it is. */
function plain(address: string): string {
  const [bare = ''] = address.split('%');
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare) ?? [];
  return mapped ?? bare;
}

/** As the kernel prints it: words of 32 bits, each a number of this machine. */
function inTable(address: string, name: 'tcp' | 'tcp6'): string {
  const bytes = bytesOf(plain(address));
  const all = name === 'tcp6' && bytes.length === 4 ? [...MAPPED, ...bytes] : bytes;
  let text = '';
  for (let at = 0; at < all.length; at += 4) {
    const word = all.slice(at, at + 4);
    for (const byte of endianness() === 'LE' ? word.toReversed() : word) text += hex(byte, 2);
  }
  return text;
}

const MAPPED: readonly number[] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

function bytesOf(address: string): number[] {
  if (isIPv4(address)) return address.split('.').map(Number);
  const [head = '', tail] = address.split('::');
  const groups = (text: string): number[] =>
    text === ''
      ? []
      : text.split(':').flatMap((group) => {
          if (isIPv4(group)) return group.split('.').map(Number);
          const number = Number.parseInt(group, 16);
          return [number >> 8, number & 0xff];
        });
  const first = groups(head);
  const last = groups(tail ?? '');
  return [...first, ...Array.from({ length: 16 - first.length - last.length }, () => 0), ...last];
}

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');

async function readTable(name: 'tcp' | 'tcp6'): Promise<Buffer | undefined> {
  try {
    return await readFile(`/proc/net/${name}`);
  } catch (error) {
    // A kernel without IPv6, a sandbox without /proc.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'EACCES') return undefined;
    throw error;
  }
}
