import { describe, expect, test } from 'vitest';
import { SseParser, type SseEvent } from './sse';

const STREAM =
  '\uFEFF: hello\n\nid: 1\nevent: start\ndata: {"a":1}\n\n' +
  'id:2\r\nevent:chunk\r\ndata: one\r\ndata:  two\r\n\r\n' +
  'id: 3\rdata\rdata: späte Grüße 🌿\r\r' +
  ': keep-alive\n\nretry: 10\nunknown: x\nevent: lost\n\nevent: done\ndata: {}\n\n';

const EVENTS: SseEvent[] = [
  { id: '1', event: 'start', data: '{"a":1}' },
  { id: '2', event: 'chunk', data: 'one\n two' },
  { id: '3', event: 'message', data: '\nspäte Grüße 🌿' },
  { id: '3', event: 'done', data: '{}' },
];

function parse(...pieces: string[]): SseEvent[] {
  const parser = new SseParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

describe('SseParser', () => {
  test('reads a whole stream at once', () => {
    expect(parse(STREAM)).toEqual(EVENTS);
  });

  test('reads the same events wherever the stream is split in two', () => {
    for (let at = 0; at <= STREAM.length; at += 1) {
      expect(parse(STREAM.slice(0, at), STREAM.slice(at)), `split at ${at}`).toEqual(EVENTS);
    }
  });

  test('reads the same events one character at a time', () => {
    expect(parse(...STREAM)).toEqual(EVENTS);
  });

  test('reads the same events from bytes split inside characters', () => {
    const bytes = new TextEncoder().encode(STREAM);
    for (const size of [1, 2, 3, 5, 7]) {
      // The parser drops the byte order mark itself, so the decoder must leave it in.
      const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
      const pieces: string[] = [];
      for (let at = 0; at < bytes.length; at += size) {
        pieces.push(decoder.decode(bytes.slice(at, at + size), { stream: true }));
      }
      expect(parse(...pieces)).toEqual(EVENTS);
    }
  });

  test('does not dispatch an event that the stream cut off', () => {
    expect(parse('data: whole\n\ndata: half\n')).toEqual([{ id: '', event: 'message', data: 'whole' }]);
  });

  test('ignores an id that holds a NUL', () => {
    expect(parse('id: 1\nid: a\0b\ndata: x\n\n')).toEqual([{ id: '1', event: 'message', data: 'x' }]);
  });

  test('refuses an event without an end', () => {
    const parser = new SseParser();
    const piece = 'x'.repeat(1 << 18);
    expect(() => {
      for (let n = 0; n < 5; n += 1) parser.push(piece);
    }).toThrow(RangeError);
    const lines = new SseParser();
    expect(() => {
      for (let n = 0; n < 5; n += 1) lines.push(`data: ${piece}\n`);
    }).toThrow(RangeError);
  });
});
