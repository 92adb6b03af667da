/** One dispatched event of a `text/event-stream`, after the WHATWG HTML standard, section 9.2. */
export interface SseEvent {
  event: string;
  data: string;
  /** The last `id` seen so far on the stream; empty before the first. */
  id: string;
}

const MAX_BUFFERED_CHARS = 1 << 20;

/** Turns text that arrives in pieces, split anywhere, into events. One parser per response. */
export class SseParser {
  #line = '';
  #afterCarriageReturn = false;
  #atStart = true;
  #data: string[] = [];
  #dataChars = 0;
  #event = '';
  #id = '';

  /** @throws RangeError when one event grows beyond a mebi of characters. */
  push(text: string): SseEvent[] {
    const events: SseEvent[] = [];
    let from = 0;
    if (this.#atStart && text.length > 0) {
      this.#atStart = false;
      if (text.charCodeAt(0) === 0xfeff) from = 1;
    }
    if (this.#afterCarriageReturn && from < text.length) {
      this.#afterCarriageReturn = false;
      if (text[from] === '\n') from += 1;
    }
    for (let at = from; at < text.length; at += 1) {
      const char = text[at];
      if (char !== '\n' && char !== '\r') continue;
      const event = this.#endLine(this.#line + text.slice(from, at));
      if (event) events.push(event);
      this.#line = '';
      if (char === '\r') {
        if (at + 1 === text.length) this.#afterCarriageReturn = true;
        else if (text[at + 1] === '\n') at += 1;
      }
      from = at + 1;
    }
    this.#line += text.slice(from);
    this.#limit(this.#line.length);
    return events;
  }

  #endLine(line: string): SseEvent | undefined {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return undefined;
    const field = colon < 0 ? line : line.slice(0, colon);
    const raw = colon < 0 ? '' : line.slice(colon + 1);
    const value = raw.startsWith(' ') ? raw.slice(1) : raw;
    if (field === 'data') {
      this.#data.push(value);
      this.#dataChars += value.length;
      this.#limit(this.#dataChars);
    } else if (field === 'event') {
      this.#event = value;
    } else if (field === 'id' && !value.includes('\0')) {
      this.#id = value;
    }
    return undefined;
  }

  #dispatch(): SseEvent | undefined {
    const hasData = this.#data.length > 0;
    const event = { event: this.#event || 'message', data: this.#data.join('\n'), id: this.#id };
    this.#data = [];
    this.#dataChars = 0;
    this.#event = '';
    return hasData ? event : undefined;
  }

  #limit(chars: number): void {
    if (chars > MAX_BUFFERED_CHARS) throw new RangeError('an event of the stream is too long');
  }
}
