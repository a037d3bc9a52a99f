/** Recognises rTorrent's answers that have a text and no code of their own. Seen with 0.9.8. */
import { XmlRpcFault } from '../wire/xml-rpc.ts';

/**
 * `d.message` where rTorrent has stopped a complete torrent by itself (`core/download_list.cc`): nothing else differs
 * from a torrent that the user stopped.
 */
export const LOST_FILES = 'Download registered as completed, but hash check returned unfinished chunks.';

/** A torrent that rTorrent does not have ("Could not find info-hash."): its code is that of every wrong parameter. */
export function isNoSuchTorrent(fault: unknown): boolean {
  return fault instanceof XmlRpcFault && /info-hash/i.test(fault.message);
}
