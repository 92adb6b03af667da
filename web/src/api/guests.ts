import { callJson } from './client';

const ANSWER_TIMEOUT_MS = 180_000;

export interface GuestMessage {
  userId: string;
  conversationId: number | undefined;
  message: string;
  key: string;
}

/** Guests have no account and no token: they speak to the classic dialect, which answers at once. */
export function sendAsGuest(guest: GuestMessage): Promise<{ response: string; conversation_id: number }> {
  const json = { message: guest.message, user_id: guest.userId, conversation_id: guest.conversationId };
  const headers = { 'Idempotency-Key': guest.key };
  return callJson('/chat', { method: 'POST', json, headers }, ANSWER_TIMEOUT_MS);
}
