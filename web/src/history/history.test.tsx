// @vitest-environment jsdom
import { act, render, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Conversation } from '../api/types';
import { useTestPage } from '../test/page';
import { answer, serve, type Asked } from '../test/server';
import { ConversationList } from './ConversationList';
import { merge, nameOf, useHistory } from './useHistory';
import { whenShort } from './when';

useTestPage();

function conversation(id: number, more: Partial<Conversation> = {}): Conversation {
  const updated_at = new Date(Date.UTC(2026, 0, 1) + id * 1000).toISOString();
  return { id: String(id), title: `Title ${id}`, pinned: false, archived: false, last_message: null, updated_at, ...more };
}

test('a refreshed page moves a conversation to the top, below the pinned ones, and repeats none', () => {
  const known = [conversation(1, { pinned: true }), conversation(3), conversation(2)];
  const fresh = [conversation(2, { updated_at: '2026-02-01T00:00:00Z', title: 'news' })];
  expect(merge(known, fresh).map(({ id, title }) => [id, title])).toEqual([
    ['1', 'Title 1'],
    ['2', 'news'],
    ['3', 'Title 3'],
  ]);
});

test('a conversation is called by its title, else by what was said in it', () => {
  expect(nameOf(conversation(1))).toBe('Title 1');
  expect(nameOf(conversation(1, { title: null, last_message: ' Hello\n there ' }))).toBe('Hello there');
  expect(nameOf(conversation(1, { title: null }))).toBe('New conversation');
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

describe('the list', () => {
  let rows: Conversation[];
  let seen: Asked[];
  let deleted: string[];
  let refusal: string | undefined;

  /** A server that keeps `rows` and lists two of them to a page, by the rules of the native dialect. */
  beforeEach(async () => {
    rows = [conversation(1), conversation(2, { archived: true }), conversation(3), conversation(4, { pinned: true }), conversation(5)];
    deleted = [];
    refusal = undefined;
    seen = await serve(({ call, json }, response) => {
      const url = new URL(call.split(' ')[1] ?? '', 'http://x');
      const id = url.pathname.split('/')[4];
      if (refusal !== undefined) return answer(response, 400, { detail: refusal });
      if (call.startsWith('PATCH')) {
        rows = rows.map((row) => (row.id === id ? { ...row, ...(json as object) } : row));
        return answer(response, 200, rows.find((row) => row.id === id));
      }
      if (call.startsWith('DELETE')) {
        rows = rows.filter((row) => row.id !== id);
        return answer(response, 200);
      }
      const { q, before, archived } = Object.fromEntries(url.searchParams);
      const wanted = merge([], rows).filter((row) => row.archived === (archived === 'true') && row.title?.includes(q ?? ''));
      const from = Number(before ?? 0);
      const next = from + 2 < wanted.length ? String(from + 2) : null;
      answer(response, 200, { items: wanted.slice(from, from + 2), next });
    });
    render(<Harness />);
    await screen.findByText('Title 5');
  });

  const nothing = () => undefined;

  function Harness() {
    const history = useHistory('token', nothing);
    return <ConversationList history={history} current="5" onOpen={nothing} onDeleted={(id) => deleted.push(id)} />;
  }

  const names = () => within(screen.getByRole('navigation')).getAllByRole('listitem').map((item) => item.textContent);
  const pick = async (of: string, label: string) => {
    await userEvent.click(screen.getByRole('button', { name: `More for “${of}”` }));
    await userEvent.click(screen.getByRole('menuitem', { name: label }));
  };

  test('names conversations by their titles, pinned ones first, and shows older ones', async () => {
    expect(names()).toEqual([expect.stringMatching(/^Pinned: Title 4/), expect.stringMatching(/^Title 5/)]);
    await userEvent.click(screen.getByRole('button', { name: 'Show older' }));
    await screen.findByText('Title 1');
    expect(names()).toHaveLength(4);
    expect(screen.queryByRole('button', { name: 'Show older' })).toBeNull();
  });

  test('is searched while one types, and says when nothing is found', async () => {
    await userEvent.type(screen.getByRole('searchbox'), 'Title 3');
    await waitFor(() => expect(names()).toEqual([expect.stringMatching(/^Title 3/)]));
    expect(seen.filter(({ call }) => call.includes('q='))).toHaveLength(1);
    await userEvent.type(screen.getByRole('searchbox'), ' nowhere');
    expect(await screen.findByText('Nothing was found.')).toBeDefined();
  });

  test('renames, and tells what is refused without losing what was typed', async () => {
    await pick('Title 5', 'Rename');
    const field = screen.getByLabelText('Title');
    await userEvent.clear(field);
    await userEvent.type(field, 'Plans');
    refusal = 'title must have 1 to 60 characters';
    await userEvent.click(screen.getByRole('button', { name: 'Rename' }));
    expect(await screen.findByText(refusal)).toBeDefined();
    refusal = undefined;
    await userEvent.click(screen.getByRole('button', { name: 'Rename' }));
    expect(await screen.findByText('Plans')).toBeDefined();
    expect(screen.queryByRole('dialog')).toBeNull();
  });

  test('pins, archives and shows the archive', async () => {
    await pick('Title 5', 'Pin');
    await waitFor(() => expect(names()[0]).toMatch(/^Pinned: Title 5/));
    await pick('Title 4', 'Archive');
    await waitFor(() => expect(screen.queryByText('Title 4')).toBeNull());
    await userEvent.click(screen.getByRole('button', { name: 'Archive' }));
    await screen.findByText('Title 2');
    expect(names()).toHaveLength(2);
    await pick('Title 2', 'Take out of the archive');
    await waitFor(() => expect(names()).toHaveLength(1));
  });

  test('deletes after asking', async () => {
    await pick('Title 5', 'Delete');
    await userEvent.click(screen.getByRole('button', { name: 'Keep it' }));
    expect(screen.getByText('Title 5')).toBeDefined();
    await pick('Title 5', 'Delete');
    await userEvent.click(screen.getByRole('button', { name: 'Delete' }));
    await waitFor(() => expect(screen.queryByText('Title 5')).toBeNull());
    expect(deleted).toEqual(['5']);
  });

  test('a menu is used with the keyboard alone', async () => {
    const button = screen.getByRole('button', { name: 'More for “Title 5”' });
    act(() => button.focus());
    await userEvent.keyboard('{Enter}{ArrowUp}');
    expect(document.activeElement?.textContent).toBe('Delete');
    await userEvent.keyboard('{ArrowDown}{ArrowDown}');
    expect(document.activeElement?.textContent).toBe('Pin');
    await userEvent.keyboard('{Escape}');
    expect(screen.queryByRole('menu')).toBeNull();
    expect(document.activeElement).toBe(button);
  });
});
