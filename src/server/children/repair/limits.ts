/** Decides whether a repair may begin by itself. A person who deletes a film means it. */
import { bytes } from '../../../app/quantities.ts';
import type { Config } from '../../../config/config.ts';
import type { Losses, ServedEntry } from '../../../control/served.ts';

export type LossLimits = Pick<Config, 'onLoss' | 'addLimitSize' | 'addLimitPercent' | 'repairLimit'>;

/** `told`: only the user can begin it. `limited`: it may begin once less was spent in the last 24 hours. */
export type LimitVerdict =
  | { readonly may: true }
  | { readonly may: false; readonly outcome: 'told' | 'limited'; readonly why: string };

/** `spent`: bytes of the last 24 hours. */
export function mayRepair(
  limits: LossLimits,
  { size, missingBytes }: Pick<ServedEntry, 'size' | 'missingBytes'>,
  { lostBytes, downloadBytes }: Losses,
  spent: number,
): LimitVerdict {
  const told = (why: string): LimitVerdict => ({ may: false, outcome: 'told', why });
  if (limits.onLoss === 'tell') return told('on_loss = tell');
  const missing = missingBytes + lostBytes;
  if (missing > limits.addLimitSize) {
    return told(`${bytes(missing)} would be missing, more than add_limit_size (${bytes(limits.addLimitSize)})`);
  }
  const percent = size === 0 ? 100 : (missing / size) * 100;
  if (percent > limits.addLimitPercent) {
    return told(`${percent.toFixed(2)}% would be missing, more than add_limit_percent (${limits.addLimitPercent}%)`);
  }
  if (downloadBytes > limits.repairLimit) {
    return told(`${bytes(downloadBytes)} to download are more than repair_limit (${bytes(limits.repairLimit)}) alone`);
  }
  if (spent + downloadBytes > limits.repairLimit) {
    const why = `repairs had ${bytes(spent)} downloaded in the last 24 hours, and repair_limit is ${bytes(limits.repairLimit)}`;
    return { may: false, outcome: 'limited', why };
  }
  return { may: true };
}
