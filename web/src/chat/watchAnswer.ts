import { ApiError } from '../api/client';
import { streamAnswer, type AnswerRequest } from '../api/stream';
import type { AnswerEvent } from '../api/types';
import { noteOf, type Entry } from './entries';

interface Watching {
  /** What had been saved of the answer: shown until the stream, which begins at its beginning, has come as far. */
  saved: string;
  onStart: (event: Extract<AnswerEvent, { type: 'start' }>) => void;
  /** The answer as it is now. Words that come within one frame are told together. */
  onChange: (change: Partial<Entry>) => void;
}

/**
 * Reads an answer to its end.
 *
 * @throws ApiError when the server refuses, or stays out of reach.
 */
export async function watchAnswer(request: AnswerRequest, { saved, onStart, onChange }: Watching): Promise<void> {
  let text = '';
  let frame: number | undefined;
  const paint = () => {
    frame = undefined;
    if (!request.signal.aborted) onChange({ state: 'writing', text: text.length < saved.length ? saved : text });
  };
  try {
    for await (const event of streamAnswer(request)) {
      if (request.signal.aborted) return;
      switch (event.type) {
        case 'start':
          onStart(event);
          break;
        case 'chunk':
          text += event.content;
          frame ??= requestAnimationFrame(paint);
          break;
        case 'lost':
          onChange({ state: 'lost' });
          break;
        case 'done':
          onChange({ state: 'done', text, ...noteOf(event.finish_reason) });
          break;
        case 'error':
          if (event.code === 'unauthenticated') throw new ApiError(401, event.detail);
          onChange({ state: 'failed', text, note: event.detail });
      }
      if (event.type !== 'chunk' && frame !== undefined) {
        cancelAnimationFrame(frame);
        frame = undefined;
      }
    }
  } finally {
    if (frame !== undefined) cancelAnimationFrame(frame);
  }
}
