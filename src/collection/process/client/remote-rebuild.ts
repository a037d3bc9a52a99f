/** A rebuild in the process that owns the index, watched from the command that asked for it. */
import { MalformedBytes } from '../../../bytes/byte-codec.ts';
import { AutotorrentError } from '../../../errors.ts';
import type { RebuildRequest, RebuildResult, RebuildWatcher } from '../../writer.ts';
import { FRAME } from '../wire/frames.ts';
import { decodeLog, decodeProgress, decodeResult, encodeRequest } from '../wire/messages.ts';
import { type Connection, ConnectionLost, decoded } from './connection.ts';

/** Waits until no rebuild goes on that was stopped. False if one still does at the abort of `signal`. */
export async function noneStops(connection: Connection, signal: AbortSignal): Promise<boolean> {
  const stop = (): void => connection.close();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await connection.send(FRAME.awaitStopped);
    await connection.expect(FRAME.noneStops);
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error;
    // Without the signal the process has ended, and its rebuilds with it.
    if (signal.aborted) return false;
  } finally {
    signal.removeEventListener('abort', stop);
    connection.close();
  }
  return true;
}

function refuse(type: number): never {
  throw new MalformedBytes(`a message ${type} in the middle of a rebuild`);
}

/**
 * @throws the signal's reason, once the process has stopped; AutotorrentError('INDEX') if it failed, or was killed: the
 * index is as before then, unless the kill came after the end
 */
export async function rebuildRemotely(
  connection: Connection,
  request: RebuildRequest,
  { signal, onProgress, logger }: RebuildWatcher,
): Promise<RebuildResult> {
  const stop = (): void => connection.end();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    signal?.throwIfAborted();
    await connection.send(FRAME.rebuild, encodeRequest(request));
    for (;;) {
      const { type, payload } = await connection.next();
      if (type === FRAME.rebuilt) return decoded(() => decodeResult(payload));
      if (type === FRAME.progress) onProgress?.(decoded(() => decodeProgress(payload)));
      else if (type === FRAME.log) {
        const { level, message } = decoded(() => decodeLog(payload));
        logger?.[level](message);
      } else decoded(() => refuse(type));
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof ConnectionLost)) throw error;
    throw new AutotorrentError(
      'INDEX',
      'the index process ended in the middle of the rebuild; the index is as before',
      {
        cause: error,
        hint: 'run it again; if it ends again, its log in the folder of the process beside `db` says why',
      },
    );
  } finally {
    signal?.removeEventListener('abort', stop);
    connection.close();
  }
}
