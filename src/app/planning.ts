/**
 * From torrents to plans: opens the collection index for as long as it is needed, matches a batch, hashes what
 * `verify` asks for, and lets go of the index again, since other commands and configurations share it.
 */
import { openIndex } from '../collection/index.ts';
import type { Config } from '../config/config.ts';
import type { HashPool, HashProgress } from '../hash/hash-pool.ts';
import { createHashPool } from '../hash/pool.ts';
import type { Logger } from '../logger.ts';
import { matchTorrents } from '../match/match.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { checkLimits, type LimitVerdict } from '../plan/limits.ts';
import { makePlan } from '../plan/make-plan.ts';
import type { Plan } from '../plan/plan.ts';
import { openLevel } from './open-level.ts';
import type { TorrentFile } from './torrent-files.ts';
