// @vitest-environment jsdom
import type { ServerResponse } from 'node:http';
import { render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, expect, test, vi } from 'vitest';
import { App } from '../App';
import { useTestPage } from '../test/page';
import { answer, serve, type Asked } from '../test/server';

useTestPage();

const token = (n: number) => `h.${btoa(JSON.stringify({ sub: '7', n }))}.s`;

let seen: Asked[];
let sessions: { id: string; last_used_at: string }[];
/** Answers calls in its own way; false leaves them to the rest. */
let override: (call: string, response: ServerResponse) => boolean | void;

beforeEach(async () => {
  override = () => false;
  sessions = [
    { id: 'phone', last_used_at: '2026-01-02T00:00:00Z' },
    { id: 'here', last_used_at: '2026-01-01T00:00:00Z' },
    { id: 'work', last_used_at: '2025-01-01T00:00:00Z' },
  ];
  seen = await serve(({ call }, response) => {
    if (override(call, response)) return;
    if (call === 'POST /api/v1/auth/refresh') {
      sessions = sessions.map((one) => (one.id === 'here' ? { ...one, last_used_at: `2026-02-01T00:00:0${seen.length % 10}Z` } : one));
      answer(response, 200, { access_token: token(seen.length) });
    } else if (call === 'POST /api/v1/auth/password') answer(response, 200, { access_token: token(99) });
    else if (call === 'GET /api/v1/users/me') answer(response, 200, { email: 'ada@example.com' });
    else if (call === 'GET /api/v1/auth/sessions') answer(response, 200, { items: sessions });
    else if (call.startsWith('GET /api/v1/conversations')) answer(response, 200, { items: [], next: null });
    else answer(response, 200);
  });
  localStorage.setItem('parlor.signed-in', '1');
  render(<App mailLink={undefined} />);
});

async function pick(label: string) {
  await userEvent.click(await screen.findByRole('button', { name: /^Account:.*ada@example\.com/ }));
  await userEvent.click(screen.getByRole('menuitem', { name: label }));
}

const refuse = (path: string, detail: string) => {
  override = (call, response) => {
    if (!call.endsWith(path)) return false;
    answer(response, 400, { detail });
    return true;
  };
};

test('the password is changed, and the page goes on with the new session', async () => {
  await pick('Change the password');
  await userEvent.type(screen.getByLabelText('Password so far'), 'old-password');
  await userEvent.type(screen.getByLabelText('New password'), 'new-password');
  refuse('/auth/password', 'The old password is wrong');
  await userEvent.click(screen.getByRole('button', { name: 'Change it' }));
  expect(await screen.findByText('The old password is wrong')).toBeDefined();
  override = () => false;
  await userEvent.click(screen.getByRole('button', { name: 'Change it' }));
  expect(await screen.findByText(/Your password has been changed/)).toBeDefined();
  const call = seen.findLast((asked) => asked.call.endsWith('/auth/password'));
  expect(call?.json).toEqual({ current_password: 'old-password', new_password: 'new-password' });
  expect(call?.headers['x-parlor-csrf']).toBe('1');
  await screen.findByText('Your conversations will be listed here.');
  expect(seen.at(-1)?.headers.authorization).toBe(`Bearer ${token(99)}`);
});

test('signing out everywhere else ends all sessions but the one that refreshes', async () => {
  await pick('Sign out everywhere else');
  await userEvent.click(screen.getByRole('button', { name: 'Sign out' }));
  expect(await screen.findByText('Other sessions that have ended: 2.')).toBeDefined();
  const ended = seen.map(({ call }) => call).filter((call) => call.startsWith('DELETE'));
  expect(ended).toEqual(['DELETE /api/v1/auth/sessions/phone', 'DELETE /api/v1/auth/sessions/work']);
});

test('nobody is signed out when two sessions were used at once', async () => {
  await pick('Sign out everywhere else');
  override = (call) => {
    if (call.endsWith('/refresh')) sessions = sessions.map((one) => (one.id === 'phone' ? { ...one, last_used_at: '2026-03-01T00:00:00Z' } : one));
    return false;
  };
  await userEvent.click(screen.getByRole('button', { name: 'Sign out' }));
  expect(await screen.findByText(/Another session was used just now/)).toBeDefined();
  expect(seen.filter(({ call }) => call.startsWith('DELETE'))).toHaveLength(0);
});

test('one’s data are saved as a file, and a broken export is told', async () => {
  const saved: Blob[] = [];
  URL.createObjectURL = (content) => `blob:${saved.push(content as Blob)}`;
  const clicked = vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(() => undefined);
  override = (call, response) => {
    if (!call.endsWith('/export')) return false;
    response.writeHead(200, { 'Content-Length': '100' });
    response.write('{', () => response.destroy());
    return true;
  };
  await pick('Export my data');
  await userEvent.click(screen.getByRole('button', { name: 'Save the file' }));
  expect(await screen.findByText('The server can’t be reached.')).toBeDefined();
  expect(saved).toHaveLength(0);
  override = (call, response) => {
    if (!call.endsWith('/export')) return false;
    answer(response, 200, { account: {} });
    return true;
  };
  await userEvent.click(screen.getByRole('button', { name: 'Save the file' }));
  await waitFor(() => expect(clicked).toHaveBeenCalledOnce());
  expect(await saved[0]?.text()).toBe('{"account":{}}');
  clicked.mockRestore();
});

test('the account is deleted with its password, and the browser forgets it', async () => {
  await pick('Delete the account');
  refuse('/users/me', 'The password is wrong');
  await userEvent.type(screen.getByLabelText('Password'), 'my-password');
  await userEvent.click(screen.getByRole('button', { name: 'Delete the account' }));
  expect(await screen.findByText('The password is wrong')).toBeDefined();
  override = () => false;
  await userEvent.click(screen.getByRole('button', { name: 'Delete the account' }));
  expect(await screen.findByText('Your account has been deleted.')).toBeDefined();
  expect(seen.find(({ call }) => call.startsWith('DELETE'))?.json).toEqual({ password: 'my-password' });
  expect(localStorage.getItem('parlor.signed-in')).toBeNull();
});

test('signing out ends the session of this browser', async () => {
  await pick('Sign out');
  expect(await screen.findByText('Welcome back')).toBeDefined();
  expect(seen.at(-1)?.call).toBe('POST /api/v1/auth/logout');
});
