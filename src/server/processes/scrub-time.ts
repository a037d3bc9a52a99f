/** When a scrub in the background may run. */
import type { ScrubTime } from '../../config/config.ts';

/** Tells if a scrub may run at a time; hours are local. A window may go over midnight. */
export function isTimeFor(when: ScrubTime, at: Date): boolean {
  if (when === 'off' || when === 'idle') return when === 'idle';
  const minute = at.getHours() * 60 + at.getMinutes();
  const { from, to } = when;
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

/** As in the configuration. */
export function shownTime(when: ScrubTime): string {
  return typeof when === 'string' ? when : `${clock(when.from)}-${clock(when.to)}`;
}

function clock(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
}
