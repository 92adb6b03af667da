import { expect, test } from 'vitest';
import { explain } from './client';

test('an error is told in the server’s words', () => {
  expect(explain(409, { detail: 'This email is taken.' })).toBe('This email is taken.');
});

test('a 422 names each field and what is wrong with it', () => {
  const detail = [
    { loc: ['body', 'message'], msg: 'Field required', type: 'missing' },
    { loc: ['body'], msg: 'Invalid JSON', type: 'json_invalid' },
  ];
  expect(explain(422, { detail })).toBe('message: Field required\nInvalid JSON');
});

test('a problem names each field that is wrong', () => {
  const errors = [{ loc: ['body', 'password'], msg: 'Field required', type: 'missing' }];
  expect(explain(422, { detail: 'The request is not valid', errors })).toBe('The request is not valid\npassword: Field required');
});

test('a body without words falls back to the status', () => {
  for (const body of [undefined, null, 'oops', {}, { detail: [] }, { detail: [1, { msg: 2 }] }]) {
    expect(explain(502, body)).toBe('The server answered with status 502.');
  }
});
