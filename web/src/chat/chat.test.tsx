// @vitest-environment jsdom
import type { ServerResponse } from 'node:http';
import { fireEvent, render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, test } from 'vitest';
import type { StoredMessage } from '../api/types';
import type { SessionState } from '../auth/session';
import { useTestPage } from '../test/page';
import { answer, serve, type Asked } from '../test/server';
import { ChatPage } from './ChatPage';

useTestPage();

const nothing = () => undefined;
const AUTH: SessionState = {
  session: undefined,
  resuming: false,
  notice: '',
  tell: nothing,
  guestsAllowed: true,
  enter: nothing,
  leave: nothing,
  refuseGuests: nothing,
};

let messages: StoredMessage[];
let next: string | null;
let seen: Asked[];
/** Answers calls in its own way; false leaves them to the rest. */
let override: (asked: Asked, response: ServerResponse) => boolean | void;

beforeEach(async () => {
  messages = [question(1, 'Why?'), reply(2, 'Because.')];
  next = null;
  override = () => false;
  seen = await serve((asked, response) => {
    if (override(asked, response)) return;
    if (asked.call.startsWith('GET /api/v1/conversations?')) answer(response, 200, { items: [], next: null });
    else if (/^GET .*\/messages\?/.test(asked.call)) answer(response, 200, { items: messages, next });
    else answer(response, 200);
  });
});

function question(id: number, content: string, more: Partial<StoredMessage> = {}): StoredMessage {
  const siblings = { index: 0, ids: [String(id)] };
  const parent_id = id > 1 ? String(id - 1) : null;
  return { id: String(id), parent_id, role: 'user', content, state: null, finish_reason: null, feedback: null, attachments: [], files: [], siblings, ...more };
}

function reply(id: number, content: string, more: Partial<StoredMessage> = {}): StoredMessage {
  return { ...question(id, content), role: 'assistant', state: 'complete', finish_reason: 'stop', ...more };
}

function tell(response: ServerResponse, seq: number, event: string, data: object): void {
  if (!response.headersSent) response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  response.write(`id: ${seq}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

const start = (response: ServerResponse, id: number) =>
  tell(response, 1, 'start', { message_id: String(id), session_id: '12', conversation_id: '12', model: 'm' });

/** Streams a whole answer, once it is stored. */
function streamed(response: ServerResponse, id: number, text: string): true {
  start(response, id);
  tell(response, 2, 'chunk', { content: text });
  tell(response, 3, 'done', { message_id: String(id), finish_reason: 'stop' });
  response.end();
  return true;
}

function open(hash = '#/c/12') {
  location.hash = hash;
  return render(<ChatPage session={{ kind: 'user', token: 't', email: 'ada@example.com' }} auth={AUTH} />);
}

const draft = () => screen.getByLabelText<HTMLTextAreaElement>('Message');
const calls = (pattern: RegExp) => seen.filter(({ call }) => pattern.test(call));

describe('an answer that is being written', () => {
  test('is read on from a reload, can be stopped, and never shows less than was saved', async () => {
    messages = [question(1, 'Why?'), reply(2, 'Be', { state: 'streaming', finish_reason: null })];
    let stream: ServerResponse | undefined;
    override = ({ call }, response) => {
      if (call.endsWith('/chat/messages/2/stream')) {
        stream = response;
        start(response, 2);
        tell(response, 2, 'chunk', { content: 'B' });
        return true;
      }
      if (call.endsWith('/stop') && stream) {
        messages = [question(1, 'Why?'), reply(2, 'Because', { state: 'cancelled', finish_reason: 'cancelled' })];
        tell(stream, 4, 'done', { message_id: '2', finish_reason: 'cancelled' });
        stream.end();
      }
      return false;
    };
    open();
    expect(await screen.findByText('Be')).toBeDefined();
    const stop = await screen.findByRole('button', { name: 'Stop the answer' });
    await waitFor(() => expect(stream).toBeDefined());
    tell(stream!, 3, 'chunk', { content: 'ecause' });
    expect(await screen.findByText('Because')).toBeDefined();
    await userEvent.click(stop);
    expect(await screen.findByText('You stopped this answer.')).toBeDefined();
    expect(await screen.findByRole('button', { name: 'Send' })).toBeDefined();
    expect(calls(/stream$/)[0]?.headers['last-event-id']).toBeUndefined();
  });

  test('that was interrupted or failed is shown as such, and can be asked for again', async () => {
    messages = [question(1, 'Why?'), reply(2, 'Bec', { state: 'interrupted', finish_reason: 'error' })];
    override = ({ call }, response) => call.endsWith('/messages/2/regenerate') && streamed(response, 3, 'Because.');
    open();
    expect(await screen.findByText('The server was stopped before the answer was finished.')).toBeDefined();
    messages = [question(1, 'Why?'), reply(3, 'Because.', { siblings: { index: 1, ids: ['2', '3'] } })];
    const [first] = screen.getAllByRole('button', { name: 'Answer again' });
    await userEvent.click(first!);
    expect(await screen.findByText('Because.')).toBeDefined();
    expect(await screen.findByText('2/2')).toBeDefined();
  });
});

describe('a message', () => {
  test('is sent to the native dialect, and its answer is shown once with all that can be done with it', async () => {
    override = ({ call }, response) => {
      if (!call.endsWith('/chat/stream')) return false;
      messages = [...messages, question(3, 'And?'), reply(4, 'So.')];
      return streamed(response, 4, 'So.');
    };
    open();
    await screen.findByText('Because.');
    await userEvent.type(draft(), 'And?{Enter}');
    await waitFor(() => expect(screen.getAllByRole('button', { name: 'Edit' })).toHaveLength(2));
    expect(screen.getAllByText('So.')).toHaveLength(1);
    expect(calls(/chat\/stream$/)[0]?.json).toEqual({ message: 'And?', conversation_id: '12' });
  });

  test('that is refused is the draft again, before what was written meanwhile', async () => {
    let refuse: (() => void) | undefined;
    override = ({ call }, response) => {
      if (!call.endsWith('/chat/stream')) return false;
      refuse = () => answer(response, 400, { detail: 'message must have at most 10 characters' });
      return true;
    };
    open();
    await screen.findByText('Because.');
    await userEvent.type(draft(), 'Something long{Enter}');
    await waitFor(() => expect(refuse).toBeDefined());
    await userEvent.type(draft(), 'more');
    refuse?.();
    expect(await screen.findByText('message must have at most 10 characters')).toBeDefined();
    await waitFor(() => expect(draft().value).toBe('Something long\n\nmore'));
    expect(screen.getAllByRole('article')).toHaveLength(2);
  });

  test('that meets the end of the session waits for the same account to sign in again', async () => {
    override = ({ call }, response) => {
      if (!/(stream|refresh)$/.test(call)) return false;
      answer(response, 401, { detail: 'Could not validate credentials' });
      return true;
    };
    const page = open('');
    await userEvent.type(draft(), 'Hello?{Enter}');
    await waitFor(() => expect(sessionStorage.getItem('parlor.draft')).toContain('Hello?'));
    page.unmount();
    open('');
    await waitFor(() => expect(draft().value).toBe('Hello?'));
    expect(sessionStorage.getItem('parlor.draft')).toBeNull();
  });

  test('that is too long is counted and not sent', async () => {
    open('');
    fireEvent.change(draft(), { target: { value: '🌿'.repeat(32_000) } });
    expect(screen.getByText('32,000 of 32,000 characters')).toBeDefined();
    expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Send' }).disabled).toBe(false);
    fireEvent.change(draft(), { target: { value: `${'🌿'.repeat(32_000)}x` } });
    expect(screen.getByRole('alert').textContent).toContain('too long');
    expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Send' }).disabled).toBe(true);
    fireEvent.change(draft(), { target: { value: 'short' } });
    expect(screen.queryByText(/characters$/)).toBeNull();
  });

  test('that is as long as the server says is the longest', async () => {
    const told = document.createElement('meta');
    told.name = 'message-max-chars';
    told.content = '100';
    document.head.append(told);
    open('');
    fireEvent.change(draft(), { target: { value: 'x'.repeat(100) } });
    expect(screen.getByText('100 of 100 characters')).toBeDefined();
    fireEvent.change(draft(), { target: { value: 'x'.repeat(101) } });
    expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Send' }).disabled).toBe(true);
    told.remove();
  });

  test('that is said differently stands beside the old one, and refused words are kept', async () => {
    let refused = true;
    override = ({ call }, response) => {
      if (!call.endsWith('/messages/1/edit')) return false;
      if (refused) {
        answer(response, 400, { detail: 'not like that' });
        return true;
      }
      const siblings = { index: 1, ids: ['1', '3'] };
      messages = [question(3, 'How?', { parent_id: null, siblings }), reply(4, 'Like this.')];
      return streamed(response, 4, 'Like this.');
    };
    open();
    await userEvent.click(await screen.findByRole('button', { name: 'Edit' }));
    const field = screen.getByLabelText('Your message');
    await userEvent.clear(field);
    await userEvent.type(field, 'How?');
    await userEvent.click(screen.getAllByRole('button', { name: 'Send' })[0]!);
    expect(await screen.findByText('not like that')).toBeDefined();
    expect(screen.getByLabelText<HTMLTextAreaElement>('Your message').value).toBe('How?');
    refused = false;
    await userEvent.click(screen.getAllByRole('button', { name: 'Send' })[0]!);
    expect(await screen.findByText('2/2')).toBeDefined();
    expect(screen.queryByText('Why?')).toBeNull();
    expect(calls(/edit$/).map(({ json }) => json)).toEqual([{ message: 'How?' }, { message: 'How?' }]);
  });
});

test('whoever gives up editing comes back to where it began, and whoever asks again to the message field', async () => {
  override = ({ call }, response) => call.endsWith('/regenerate') && streamed(response, 2, 'Because.');
  open();
  await userEvent.click(await screen.findByRole('button', { name: 'Edit' }));
  await userEvent.keyboard('{Escape}');
  expect(document.activeElement).toBe(screen.getByRole('button', { name: 'Edit' }));
  await userEvent.click(screen.getByRole('button', { name: 'Answer again' }));
  await waitFor(() => expect(document.activeElement).toBe(draft()));
});

test('versions are gone through, and the focus stays on the button', async () => {
  const ids = ['2', '3'];
  messages = [question(1, 'Why?'), reply(3, 'Newer.', { siblings: { index: 1, ids } })];
  override = ({ call }) => {
    if (call.startsWith('PUT')) messages = [question(1, 'Why?'), reply(2, 'Older.', { siblings: { index: 0, ids } })];
    return false;
  };
  open();
  const before = await screen.findByRole('button', { name: 'Version before' });
  await userEvent.click(before);
  expect(await screen.findByText('Older.')).toBeDefined();
  expect(calls(/^PUT .*\/12\/head$/).map(({ json }) => json)).toEqual([{ message_id: '2' }]);
  expect(document.activeElement).toBe(screen.getByRole('button', { name: 'Version before' }));
  expect(screen.queryByText('Newer.')).toBeNull();
});

test('answers are rated, and a rating that is refused is taken back', async () => {
  open();
  const good = await screen.findByRole('button', { name: 'Good answer' });
  await userEvent.click(good);
  expect(good.getAttribute('aria-pressed')).toBe('true');
  await userEvent.click(good);
  expect(good.getAttribute('aria-pressed')).toBe('false');
  await waitFor(() => expect(calls(/feedback$/).map(({ call, json }) => [call.split(' ')[0], json])).toEqual([
    ['PUT', { rating: 'up' }],
    ['DELETE', undefined],
  ]));
  override = ({ call }, response) => {
    if (!call.endsWith('/feedback')) return false;
    answer(response, 503, { detail: 'busy' });
    return true;
  };
  await userEvent.click(screen.getByRole('button', { name: 'Bad answer' }));
  expect(await screen.findByText('busy')).toBeDefined();
  expect(screen.getByRole('button', { name: 'Bad answer' }).getAttribute('aria-pressed')).toBe('false');
});

test('older messages are read when they are asked for', async () => {
  next = '1';
  override = ({ call }, response) => {
    if (!call.includes('before=1')) return false;
    answer(response, 200, { items: [question(8, 'Earlier?'), reply(9, 'Long ago.')], next: null });
    return true;
  };
  open();
  await userEvent.click(await screen.findByRole('button', { name: 'Show earlier messages' }));
  expect(await screen.findByText('Long ago.')).toBeDefined();
  expect(screen.getAllByRole('article').map((one) => one.querySelector('.message-body')?.textContent)).toEqual([
    'Earlier?',
    'Long ago.',
    'Why?',
    'Because.',
  ]);
  expect(screen.queryByRole('button', { name: 'Show earlier messages' })).toBeNull();
});

describe('a file', () => {
  const stored = { id: '1234567890123456', name: 'fox.png', media_type: 'image/png', bytes: 3, url: '/api/v1/files/1234567890123456/content' };
  const picker = () => screen.getByLabelText<HTMLInputElement>('Files');
  const fox = () => new File(['fox'], 'fox.png', { type: 'image/png' });

  test('is uploaded with a preview, goes with the message, and is shown in the thread', async () => {
    let finish: (() => void) | undefined;
    override = ({ call }, response) => {
      if (call === 'POST /api/v1/files') {
        finish = () => answer(response, 201, stored);
        return true;
      }
      if (call === `GET ${stored.url}`) {
        response.writeHead(200, { 'Content-Type': 'image/png' });
        response.end('fox');
        return true;
      }
      if (!call.endsWith('/chat/stream')) return false;
      const attached = { attachments: [stored.url], files: [{ ...stored, deleted: false }] };
      messages = [question(1, 'Look', attached), reply(2, 'A fox.')];
      return streamed(response, 2, 'A fox.');
    };
    open('');
    fireEvent.change(picker(), { target: { files: [fox()] } });
    await userEvent.type(draft(), 'Look');
    expect(screen.getByLabelText('Uploading fox.png')).toBeDefined();
    expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Send' }).disabled).toBe(true);
    await waitFor(() => expect(finish).toBeDefined());
    finish?.();
    await waitFor(() => expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Send' }).disabled).toBe(false));
    await userEvent.click(screen.getByRole('button', { name: 'Send' }));
    const shown = await screen.findByRole<HTMLImageElement>('img', { name: 'fox.png' });
    expect(shown.src).toBe(`data:image/png;base64,${btoa('fox')}`);
    await waitFor(() => expect(screen.getByRole('button', { name: 'Edit' })).toBeDefined());
    expect(calls(/chat\/stream$/)[0]?.json).toEqual({ message: 'Look', attachments: [stored.url] });
    expect(calls(/content$/)[0]?.headers.authorization).toBe('Bearer t');
    expect(screen.queryByRole('list', { name: 'Attached files' })).toBeNull();
  });

  test('that is refused says why, and sends nothing until it is removed', async () => {
    override = ({ call }, response) => {
      if (call !== 'POST /api/v1/files') return false;
      answer(response, 400, { detail: 'files of this type are not taken: text/html' });
      return true;
    };
    open('');
    await userEvent.type(draft(), 'Look');
    fireEvent.change(picker(), { target: { files: [fox()] } });
    expect((await screen.findByRole('alert')).textContent).toContain('files of this type are not taken');
    expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Send' }).disabled).toBe(true);
    await userEvent.click(screen.getByRole('button', { name: 'Remove fox.png' }));
    expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Send' }).disabled).toBe(false);
    expect(calls(/^DELETE/)).toHaveLength(0);
  });

  test('that is taken out again is deleted', async () => {
    override = ({ call }, response) => {
      if (call !== 'POST /api/v1/files') return false;
      answer(response, 201, stored);
      return true;
    };
    open('');
    fireEvent.change(picker(), { target: { files: [fox()] } });
    await waitFor(() => expect(screen.queryByLabelText('Uploading fox.png')).toBeNull());
    await userEvent.click(screen.getByRole('button', { name: 'Remove fox.png' }));
    await waitFor(() => expect(calls(/^DELETE/).map(({ call }) => call)).toEqual(['DELETE /api/v1/files/1234567890123456']));
  });

  test('that was deleted leaves its place, and goes with no edited message', async () => {
    const gone = { id: stored.id, url: stored.url, deleted: true, name: null, media_type: null };
    const web = 'https://example.com/fox';
    messages = [question(1, 'Look', { attachments: [stored.url, web], files: [gone] }), reply(2, 'Gone.')];
    override = ({ call }, response) => call.endsWith('/messages/1/edit') && streamed(response, 4, 'There.');
    open();
    expect(await screen.findByText('A file that was deleted')).toBeDefined();
    expect(screen.getByRole<HTMLAnchorElement>('link', { name: web }).rel).toContain('noopener');
    await userEvent.click(screen.getByRole('button', { name: 'Edit' }));
    await userEvent.click(screen.getAllByRole('button', { name: 'Send' })[0]!);
    await waitFor(() => expect(calls(/edit$/)[0]?.json).toEqual({ message: 'Look', attachments: [web] }));
  });

  test('is for accounts alone', () => {
    render(<ChatPage session={{ kind: 'guest', userId: 'g' }} auth={AUTH} />);
    expect(screen.queryByRole('button', { name: 'Attach files' })).toBeNull();
  });
});
