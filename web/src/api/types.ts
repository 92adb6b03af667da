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

export interface StoredMessage {
  id: number | string;
  role: 'system' | 'user' | 'assistant' | 'tool';
  content: string;
  /** RFC 3339, UTC. */
  created_at: string;
}

export type FinishReason = 'stop' | 'length' | 'content_filter' | 'cancelled' | 'error';

/** What a streamed answer tells. `lost` is the client's own: the connection broke and is being made anew. */
export type AnswerEvent =
  | { type: 'start'; message_id: string; session_id: string; conversation_id: string; model: string }
  | { type: 'chunk'; content: string }
  | { type: 'done'; message_id: string; finish_reason: FinishReason }
  | { type: 'error'; detail: string; code?: string }
  | { type: 'lost' };
