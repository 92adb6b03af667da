const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** How long ago an RFC 3339 time was, in few letters: minutes, hours, then the weekday, then the date. */
export function whenShort(time: string, now = new Date()): string {
  const then = new Date(time);
  const ago = now.getTime() - then.getTime();
  if (Number.isNaN(ago)) return '';
  if (ago < MINUTE_MS) return 'now';
  if (ago < HOUR_MS) return `${Math.floor(ago / MINUTE_MS)} min`;
  if (ago < DAY_MS) return `${Math.floor(ago / HOUR_MS)} h`;
  if (ago < 6 * DAY_MS) return then.toLocaleDateString('en', { weekday: 'short' });
  const sameYear = then.getFullYear() === now.getFullYear();
  return then.toLocaleDateString(undefined, { day: 'numeric', month: 'short', ...(sameYear ? {} : { year: 'numeric' }) });
}
