import type { FinishReason, Rating, StoredMessage } from '../api/types';

export type EntryState = 'done' | 'waiting' | 'writing' | 'lost' | 'failed';

/** One message as the page shows it. */
export interface Entry {
  /** Stays the same as long as the message is shown. */
  key: string;
  /** The server's id; undefined until it is known, and for guests. */
  id?: string;
  role: 'user' | 'assistant';
  text: string;
  state: EntryState;
  /** A word about how the answer ended, when it is not simply complete. */
  note?: string;
  rating?: Rating;
  /** What goes with it. */
  attached?: Attached[];
  /** The ids of all versions of the message, and which of them this is; undefined for the only one. */
  versions?: { index: number; ids: string[] };
}

/** Something that goes with a message: a file, or an address on the web. */
export interface Attached {
  /** What names it to the server. */
  url: string;
  /** A file's name; undefined for an address, and for a file that was deleted. */
  name?: string;
  isPicture: boolean;
  deleted: boolean;
}

export function attachedFile(file: { url: string; name: string | null; media_type: string | null; deleted?: boolean }): Attached {
  const { url, name, media_type, deleted = false } = file;
  return { url, ...(name === null ? {} : { name }), isPicture: media_type?.startsWith('image/') ?? false, deleted };
}

function attachedOf({ attachments, files }: StoredMessage): Attached[] {
  return attachments.map((url) => {
    const file = files.find((one) => one.url === url);
    return file ? attachedFile(file) : { url, isPicture: false, deleted: false };
  });
}

const NOTES: Record<FinishReason, string | undefined> = {
  stop: undefined,
  length: 'The answer reached its length limit.',
  content_filter: 'The answer was cut off by the content filter.',
  cancelled: 'You stopped this answer.',
  error: 'The answer ended early.',
};

export function noteOf(reason: FinishReason | null): { note?: string } {
  const note = reason === null ? undefined : NOTES[reason];
  return note === undefined ? {} : { note };
}

/** A stored message under that key; undefined for one that is not shown. */
export function entryOf(message: StoredMessage, key: string): Entry | undefined {
  const { id, role, content: text, siblings, feedback } = message;
  if (role !== 'user' && role !== 'assistant') return undefined;
  return {
    key,
    id,
    role,
    text,
    ...endOf(message),
    ...(message.attachments.length > 0 ? { attached: attachedOf(message) } : {}),
    ...(feedback ? { rating: feedback.rating } : {}),
    ...(siblings.ids.length > 1 ? { versions: siblings } : {}),
  };
}

function endOf({ state, finish_reason }: StoredMessage): { state: EntryState; note?: string } {
  switch (state) {
    case 'pending':
      return { state: 'waiting' };
    case 'streaming':
      return { state: 'writing' };
    case 'incomplete':
      return { state: 'failed', note: 'The AI service broke off before the answer was finished.' };
    case 'failed':
      return { state: 'failed', note: 'The AI service gave no answer.' };
    case 'interrupted':
      return { state: 'failed', note: 'The server was stopped before the answer was finished.' };
    default:
      return { state: 'done', ...noteOf(finish_reason) };
  }
}

/** Whether an answer is still being written. */
export function isOpen(entry: Entry | undefined): entry is Entry {
  return entry?.role === 'assistant' && ['waiting', 'writing', 'lost'].includes(entry.state);
}

/**
 * What is shown after the newest page has been read: its messages, after the older ones that are shown already. What is shown
 * of a message under a key stays under it, and says what it said of a failure.
 *
 * @param keys the keys of messages by their ids.
 */
export function renewed(shown: Entry[], page: StoredMessage[], keys: ReadonlyMap<string, string>): Entry[] {
  const known = new Map(shown.map((entry) => [entry.key, entry]));
  const first = page[0] && keyOf(page[0].id, keys);
  const at = shown.findIndex(({ key }) => key === first);
  const fresh = page.flatMap((message) => {
    const key = keyOf(message.id, keys);
    const entry = entryOf(message, key);
    const before = known.get(key);
    if (entry?.state === 'failed' && before?.id === entry.id && before?.note) entry.note = before.note;
    return entry ? [entry] : [];
  });
  return [...shown.slice(0, Math.max(0, at)), ...fresh];
}

function keyOf(id: string, keys: ReadonlyMap<string, string>): string {
  return keys.get(id) ?? id;
}
