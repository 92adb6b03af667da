import type { FinishReason, StoredMessage } from '../api/types';

export type EntryState = 'done' | 'waiting' | 'writing' | 'lost' | 'failed';

/** One message as the page shows it. */
export interface Entry {
  key: string;
  role: 'user' | 'assistant';
  text: string;
  state: EntryState;
  /** A word about how the answer ended, when it is not simply complete. */
  note?: string;
}

const NOTES: Record<FinishReason, string | undefined> = {
  stop: undefined,
  length: 'The answer reached its length limit.',
  content_filter: 'The answer was cut off by the content filter.',
  cancelled: 'You stopped this answer.',
  error: 'The answer ended early.',
};

export function noteOf(reason: FinishReason): { note?: string } {
  const note = NOTES[reason];
  return note === undefined ? {} : { note };
}

export function entriesOf(messages: StoredMessage[]): Entry[] {
  const entries: Entry[] = [];
  for (const { id, role, content } of messages) {
    if (role === 'user' || role === 'assistant') entries.push({ key: String(id), role, text: content, state: 'done' });
  }
  return entries;
}

/** Whether the last question has no answer yet: it may still be written, on the server, for somebody who left and came back. */
export function awaitsAnswer(entries: Entry[]): boolean {
  const last = entries.at(-1);
  return last !== undefined && last.state === 'done' && (last.role === 'user' || last.text === '');
}
