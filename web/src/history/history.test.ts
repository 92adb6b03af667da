import { expect, test } from 'vitest';
import { merge } from './useHistory';
import { whenShort } from './when';

const item = (session_id: string, updated_at: string, last_message = session_id) => ({ session_id, updated_at, last_message });

test('a refreshed page moves a conversation to the top and repeats none', () => {
  const known = [item('2', '2026-01-02T00:00:00Z'), item('1', '2026-01-01T00:00:00Z')];
  const fresh = [item('1', '2026-01-03T00:00:00Z', 'news'), item('2', '2026-01-02T00:00:00Z')];
  expect(merge(known, fresh).map((row) => [row.session_id, row.last_message])).toEqual([
    ['1', 'news'],
    ['2', '2'],
  ]);
});

test('a time is told as shortly as its distance allows', () => {
  const now = new Date('2026-05-20T12:00:00');
  expect(whenShort('2026-05-20T11:59:30', now)).toBe('now');
  expect(whenShort('2026-05-20T11:15:00', now)).toBe('45 min');
  expect(whenShort('2026-05-20T09:05:00', now)).toBe('2 h');
  expect(whenShort('2026-05-18T12:00:00', now)).toMatch(/^Mon/);
  expect(whenShort('2024-05-18T12:00:00', now)).toMatch(/2024/);
  expect(whenShort('nonsense', now)).toBe('');
});
