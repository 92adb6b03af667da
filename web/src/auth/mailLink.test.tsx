// @vitest-environment jsdom
import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, test } from 'vitest';
import { App } from '../App';
import { useTestPage } from '../test/page';
import { answer, serve } from '../test/server';
import { takeMailLink } from './mailLink';

useTestPage();

const SPENT = 'this link is unknown, used or expired: ask for another';

function open(hash: string) {
  location.hash = hash;
  render(<App mailLink={takeMailLink()} />);
}

async function choosePassword(password: string, again = password) {
  await userEvent.type(screen.getByLabelText('New password'), password);
  await userEvent.type(screen.getByLabelText('The same again'), again);
  await userEvent.click(screen.getByRole('button', { name: 'Set the password' }));
}

test('a token leaves the address bar at once, and other fragments stay', () => {
  location.hash = '#reset-password=s3cret';
  expect(takeMailLink()).toEqual({ kind: 'reset-password', token: 's3cret' });
  expect(location.hash).toBe('');
  for (const hash of ['#/c/12', '#reset-password=', '#reset-password=a/b', '#other=x']) {
    location.hash = hash;
    expect(takeMailLink()).toBeUndefined();
    expect(location.hash).toBe(hash);
  }
});

describe('a link to a new password', () => {
  test('sets it and leads to the sign-in page', async () => {
    const seen = await serve((_, response) => answer(response, 200));
    open('#reset-password=s3cret');
    await choosePassword('a-new-password');
    expect(await screen.findByText('Your new password is set. Sign in with it.')).toBeDefined();
    expect(seen.map(({ call, json }) => [call, json])).toEqual([
      ['POST /api/v1/auth/password/reset', { token: 's3cret', password: 'a-new-password' }],
    ]);
  });

  test('that is spent says so and offers another', async () => {
    const seen = await serve(({ call }, response) => {
      if (call.endsWith('/forgot')) answer(response, 202);
      else answer(response, 400, { detail: SPENT });
    });
    open('#reset-password=s3cret');
    await choosePassword('a-new-password');
    expect((await screen.findByRole('alert')).textContent).toContain('used or expired');
    await userEvent.type(screen.getByLabelText('Email'), 'ada@example.com');
    await userEvent.click(screen.getByRole('button', { name: 'Send a link' }));
    expect(await screen.findByText(/If an account has the address ada@example.com/)).toBeDefined();
    expect(seen.at(-1)).toMatchObject({ call: 'POST /api/v1/auth/password/forgot', json: { email: 'ada@example.com' } });
  });

  test('keeps the form when the password is refused or was mistyped', async () => {
    const seen = await serve((_, response) => answer(response, 400, { detail: 'password must have 8 to 128 characters' }));
    open('#reset-password=s3cret');
    await choosePassword('one-password', 'another-one');
    expect((await screen.findByRole('alert')).textContent).toContain('not the same');
    expect(seen).toHaveLength(0);
    await userEvent.clear(screen.getByLabelText('The same again'));
    await userEvent.type(screen.getByLabelText('The same again'), 'one-password');
    await userEvent.click(screen.getByRole('button', { name: 'Set the password' }));
    expect(await screen.findByText('password must have 8 to 128 characters')).toBeDefined();
    expect(screen.getByLabelText('New password')).toBeDefined();
  });
});

describe('a link that verifies an address', () => {
  test('does so, once, and says so', async () => {
    const seen = await serve((_, response) => answer(response, 200));
    open('#verify-email=s3cret');
    expect(await screen.findByText('Your address is verified')).toBeDefined();
    expect(seen.map(({ json }) => json)).toEqual([{ token: 's3cret' }]);
    await userEvent.click(screen.getByRole('button', { name: 'Go on to Parlor' }));
    expect(screen.getByText('Welcome back')).toBeDefined();
  });

  test('that is spent says so and offers another', async () => {
    await serve(({ call }, response) => {
      if (call.endsWith('/resend')) answer(response, 202);
      else answer(response, 400, { detail: SPENT });
    });
    open('#verify-email=s3cret');
    expect((await screen.findByRole('alert')).textContent).toContain('used or expired');
    await userEvent.type(screen.getByLabelText('Email'), 'ada@example.com');
    await userEvent.click(screen.getByRole('button', { name: 'Send a link' }));
    expect(await screen.findByText(/If an account has the address/)).toBeDefined();
  });
});

test('a forgotten password says the same for every address, and refusals in the server’s words', async () => {
  let status = 429;
  await serve((_, response) => answer(response, status, { detail: 'Too many requests' }));
  render(<App mailLink={undefined} />);
  await userEvent.click(screen.getByRole('button', { name: 'Forgot your password?' }));
  await userEvent.type(screen.getByLabelText('Email'), 'nobody@example.com');
  await userEvent.click(screen.getByRole('button', { name: 'Send a link' }));
  expect(await screen.findByText('Too many requests')).toBeDefined();
  status = 202;
  await userEvent.click(screen.getByRole('button', { name: 'Send a link' }));
  expect(await screen.findByText(/If an account has the address nobody@example.com/)).toBeDefined();
});
