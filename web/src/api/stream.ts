import { ApiError, send } from './client';
import { SseParser, type SseEvent } from './sse';
import type { AnswerEvent } from './types';

export interface AnswerRequest {
  token: string;
  path: string;
  /** What begins a turn; without it, one that was begun is followed. */
  begin?: {
    json: unknown;
    /** Names the turn: sent again with the same key, it attaches to the same answer. */
    key: string;
  };
  signal: AbortSignal;
}

export interface Patience {
  /** Milliseconds before each new attempt; their number is how often a silent connection is made anew. */
  delaysMs: readonly number[];
  /** The server sends a comment every 15 s; longer silence than this means that the connection is dead. */
  silenceMs: number;
}

const PATIENCE: Patience = { delaysMs: [500, 1000, 2000, 4000, 8000, 8000], silenceMs: 50_000 };
const GATEWAY_STATUSES = [502, 503, 504];

/**
 * Begins or follows a turn and yields its answer's events, each exactly once. A connection that breaks before `done` or `error`
 * is made anew from the last event seen. Ends quietly when `signal` aborts.
 *
 * @throws ApiError when the server refuses, or stays out of reach.
 */
export async function* streamAnswer(request: AnswerRequest, patience = PATIENCE): AsyncGenerator<AnswerEvent> {
  let lastSeen = 0;
  let failures = 0;
  let begun = false;
  for (;;) {
    let reason = new ApiError(0, 'The connection was lost and could not be made again.');
    try {
      for await (const raw of readOnce(request, lastSeen, patience.silenceMs)) {
        begun = true;
        const event = decode(raw);
        const seq = Number(raw.id);
        if (!event || (seq > 0 && seq <= lastSeen)) continue;
        if (seq > 0) lastSeen = seq;
        failures = 0;
        yield event;
        if (event.type === 'done' || event.type === 'error') return;
      }
    } catch (error) {
      if (request.signal.aborted) return;
      if (!(error instanceof ApiError) || !mayPass(error, begun)) throw error;
      reason = error;
    }
    const delay = patience.delaysMs[failures];
    if (delay === undefined) throw reason;
    failures += 1;
    yield { type: 'lost' };
    await sleep(delay, request.signal);
    if (request.signal.aborted) return;
  }
}

/** A gateway's status before the first event is the server's own answer; after it, the server is on its way back. */
function mayPass(error: ApiError, begun: boolean): boolean {
  return error.status === 0 || (begun && GATEWAY_STATUSES.includes(error.status));
}

async function* readOnce(request: AnswerRequest, lastSeen: number, silenceMs: number): AsyncGenerator<SseEvent> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), silenceMs);
  const signal = AbortSignal.any([request.signal, silence.signal]);
  const { token, path, begin } = request;
  const headers: Record<string, string> = { Accept: 'text/event-stream' };
  if (begin) headers['Idempotency-Key'] = begin.key;
  if (lastSeen > 0) headers['Last-Event-ID'] = String(lastSeen);
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  try {
    const call = begin ? { method: 'POST', json: begin.json } : {};
    const response = await send(path, { ...call, token, headers, signal });
    reader = response.body?.getReader();
    const parser = new SseParser();
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    for (;;) {
      const piece = await reader?.read().catch(brokenOff);
      if (!piece || piece.done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), silenceMs);
      yield* parser.push(decoder.decode(piece.value, { stream: true }));
    }
  } finally {
    clearTimeout(timer);
    reader?.cancel().catch(() => undefined);
  }
}

function brokenOff(): never {
  throw new ApiError(0, 'The connection was lost and could not be made again.');
}

function decode(raw: SseEvent): AnswerEvent | undefined {
  if (!['start', 'chunk', 'done', 'error'].includes(raw.event)) return undefined;
  try {
    return { ...(JSON.parse(raw.data) as object), type: raw.event } as AnswerEvent;
  } catch {
    return undefined;
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(wake, ms);
    function wake() {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      resolve();
    }
    signal.addEventListener('abort', wake);
  });
}
