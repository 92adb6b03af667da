export interface Conversation {
  id: string;
  /** Made from its first message, unless it was renamed. */
  title: string | null;
  pinned: boolean;
  archived: boolean;
  last_message: string | null;
  /** RFC 3339, UTC. */
  updated_at: string;
}

/** A page, and the cursor of the next one; null on the last. */
export interface Page<T> {
  items: T[];
  next: string | null;
}

export type Rating = 'up' | 'down';

export type AnswerState = 'pending' | 'streaming' | 'complete' | 'incomplete' | 'cancelled' | 'failed' | 'interrupted';

export interface StoredMessage {
  id: string;
  /** The message that it follows. */
  parent_id: string | null;
  role: 'system' | 'user' | 'assistant' | 'tool';
  /** Of an answer that is being written, what had been saved. */
  content: string;
  /** Of an answer. */
  state: AnswerState | null;
  /** Of an answer that has ended. */
  finish_reason: FinishReason | null;
  feedback: { rating: Rating } | null;
  /** Addresses on the web, and those of files: paths on this server. */
  attachments: string[];
  /** Those of them that are files. */
  files: AttachedFile[];
  /** Its versions, itself among them, in the order in which they were made; `index` counts from 0. */
  siblings: { index: number; ids: string[] };
}

/** A file that was uploaded. */
export interface UploadedFile {
  id: string;
  name: string;
  media_type: string;
  bytes: number;
  /** The path of its content; names it among a message's attachments. */
  url: string;
}

/** A file of a message; of one that was deleted, nothing else is known. */
export interface AttachedFile {
  id: string;
  url: string;
  deleted: boolean;
  name: string | null;
  media_type: string | null;
}

export type FinishReason = 'stop' | 'length' | 'content_filter' | 'cancelled' | 'error';

/** What a streamed answer tells. `lost` is the client's own: the connection broke and is being made anew. */
export type AnswerEvent =
  | { type: 'start'; message_id: string; session_id: string; conversation_id: string; model: string }
  | { type: 'chunk'; content: string }
  | { type: 'done'; message_id: string; finish_reason: FinishReason }
  | { type: 'error'; detail: string; code?: string }
  | { type: 'lost' };
