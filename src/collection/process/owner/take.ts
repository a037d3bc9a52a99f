/** Opens the database, unless another process serves it. Decides which of two processes that start at once stays. */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, DatabaseLocked, openLevel } from '../../../leveldb/open.ts';
import type { Logger } from '../../../logger.ts';
import { dial, Peers } from '../../../state/peer.ts';
import { FRAME, FrameReader, REQUEST_LIMIT, send } from '../wire/frames.ts';
import { encodeText } from '../wire/messages.ts';
import { SOCKET } from '../wire/names.ts';

export interface TakeOptions {
  readonly db: string;
  readonly folder: string;
  readonly build: string;
  /** Makes the database if there is none. */
  readonly create: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Called once, if a process holds the database and does not serve it to this build. */
  readonly onWait: (holder: string) => void;
  /** Default: a minute. */
  readonly waitMs?: number;
}

const WAIT_MS = 60_000;
const POLL_MS = 20;
/** The other one may be about to listen. */
const PATIENCE_MS = 1000;

/** Returns undefined if another process serves this build. @throws DatabaseLocked after `waitMs`; what `openLevel` throws */
export async function takeDatabase(options: TakeOptions): Promise<Database | undefined> {
  const { db, create, logger, signal, onWait, waitMs = WAIT_MS } = options;
  const began = Date.now();
  let told = false;
  for (;;) {
    try {
      return await openLevel(db, { code: 'INDEX', what: 'the collection index', create, logger, waitMs: 0 });
    } catch (error) {
      if (!(error instanceof DatabaseLocked)) throw error;
      if (await isServed(options)) return undefined;
      const waited = Date.now() - began;
      if (waited >= waitMs) throw error;
      if (!told && waited >= PATIENCE_MS) onWait(error.holder);
      told ||= waited >= PATIENCE_MS;
      await sleep(told ? POLL_MS * 5 : POLL_MS, undefined, { signal });
    }
  }
}

/** Tells if a process of this build answers. The hello asks one of another build to end when its clients have gone. */
async function isServed({ folder, build }: TakeOptions): Promise<boolean> {
  let socket: Socket | undefined;
  try {
    const dialled = await dial(folder, SOCKET, new Peers());
    socket = dialled;
    socket.setTimeout(PATIENCE_MS, () => dialled.destroy());
    const frames = new FrameReader(socket, REQUEST_LIMIT);
    await send(socket, FRAME.hello, encodeText(build));
    return (await frames.next())?.type === FRAME.welcome;
  } catch {
    return false;
  } finally {
    socket?.destroy();
  }
}
