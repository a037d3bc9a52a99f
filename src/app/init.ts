/**
 * `autotorrent init`: finds the torrent clients of this machine by their own configuration files, tries each with a real
 * connection, and writes a configuration with those that answer. The others are explained in it and on the terminal.
 */
import { createClient } from '../clients/create.ts';
import { exposureOf } from '../clients/exposure.ts';
import { findLocalClients, type LocalClient, type Places } from '../clients/local-clients.ts';
import { type ClientSection, createConfig, refuseExisting, sectionText } from '../config/create.ts';
import { parseConfig } from '../config/parse.ts';
import { AutotorrentError, explained } from '../errors.ts';

export interface TriedClient {
  readonly client: LocalClient['client'];
  /** The client's own file that led to it. */
  readonly from: string;
  /** The address that was tried; absent if the client's file does not name one. */
  readonly address?: string;
  /** The name and version that answered: `Transmission 3.00`. Absent if it cannot be used. */
  readonly answer?: string;
  /** Says how other users of this machine can give it orders. */
  readonly exposed?: string;
  /** The section that it got. */
  readonly section?: string;
  /** Why it cannot be used. */
  readonly problem?: string;
}

export interface InitRequest {
  readonly file: string;
  readonly places: Places;
  /** Asks the user for a password; undefined if nobody can be asked, or nothing was typed. */
  readonly askPassword: (question: string) => Promise<string | undefined>;
}

/** Milliseconds: a client on this machine answers at once, or is something else. */
const TIMEOUT_MS = 5000;

/** @throws AutotorrentError('CONFIG') if the file exists already, or cannot be written */
export async function initConfig(request: InitRequest): Promise<TriedClient[]> {
  const { file } = request;
  // Checked before anyone is asked for a password.
  await refuseExisting(file);
  const all = [];
  for (const found of await findLocalClients(request.places)) all.push(await tried(found, request));
  // Clients that answer come first; one that only lacks something is worth a section, too.
  const named = all
    .filter(({ address }) => address !== undefined)
    .toSorted((a, b) => Number(b.answer !== undefined) - Number(a.answer !== undefined))
    .map((one, i) => ({ ...one, section: i === 0 ? 'client' : `client-${one.client}` }));
  const sections = named.map(({ section, settings, from, answer, problem, exposed }): ClientSection => {
    const comments =
      answer === undefined
        ? [`From ${from}, but it cannot be used yet:`, problem ?? '']
        : [`${answer}, as ${from} has it.`, ...(exposed === undefined ? [] : [`${exposed}.`])];
    return { name: section, comments, settings };
  });
  await createConfig(file, sections);
  const places = new Map(named.map(({ client, section }) => [client, section]));
  return all.map(({ client, from, address, answer, problem, exposed }) => {
    const section = places.get(client);
    return {
      client,
      from,
      ...(address === undefined ? {} : { address }),
      ...(answer === undefined ? {} : { answer }),
      ...(exposed === undefined ? {} : { exposed }),
      ...(section === undefined ? {} : { section }),
      ...(problem === undefined ? {} : { problem }),
    };
  });
}

type Tried = TriedClient & { readonly settings: Readonly<Record<string, string>> };

async function tried(found: LocalClient, request: InitRequest): Promise<Tried> {
  const { client, from } = found;
  const password = found.wantsPassword ? await askedFor(found, request) : undefined;
  const settings = { client, ...found.settings, ...(password === undefined ? {} : { password }) };
  const address = found.settings['url'] ?? found.settings['host'];
  const about = { client, from, settings, ...(address === undefined ? {} : { address }) };
  if (found.problem !== undefined) return { ...about, problem: found.problem };
  if (found.wantsPassword && password === undefined) {
    return {
      ...about,
      problem: 'its password is not known, since its own file holds a hash of it: add a line password = …',
    };
  }
  try {
    return { ...about, ...(await answerOf(settings)) };
  } catch (error) {
    if (!(error instanceof AutotorrentError)) throw error;
    return { ...about, problem: explained(error) };
  }
}

async function askedFor({ client, settings }: LocalClient, { askPassword }: InitRequest): Promise<string | undefined> {
  const user = settings['username'] === undefined ? '' : ` for ${settings['username']}`;
  return await askPassword(`Password${user} of ${client} at ${settings['url'] ?? settings['host'] ?? ''}: `);
}

/** Checks a section as it will be read later. */
async function answerOf(
  settings: Readonly<Record<string, string>>,
): Promise<{ readonly answer: string; readonly exposed?: string }> {
  const text = `[general]\nstore_path = store\n${sectionText({ name: 'client', comments: [], settings })}\n`;
  const config = parseConfig(text, { file: '/autotorrent.conf', home: '/' });
  const client = config.client === undefined ? undefined : createClient(config.client, { timeoutMs: TIMEOUT_MS });
  if (config.client === undefined || client === undefined) throw new Error('a client that was found has no adapter');
  try {
    const { name, version } = await client.describe();
    const exposed = exposureOf(config.client);
    return { answer: `${name} ${version}`, ...(exposed === undefined ? {} : { exposed }) };
  } finally {
    await client.close();
  }
}
