/** The longest message, in characters, that servers take unless they are set up otherwise. */
const MAX_CHARS = 32_000;
/** From here on the characters are counted before one's eyes. */
const COUNTED_FROM = 30_000;

export function isTooLong(text: string): boolean {
  return lengthOf(text) > MAX_CHARS;
}

/** How long a message is, once that matters. */
export function MessageLength({ text }: { text: string }) {
  const length = lengthOf(text);
  if (length < COUNTED_FROM) return null;
  return (
    <p className={length > MAX_CHARS ? 'length over' : 'length'}>
      {length > MAX_CHARS && <span role="alert">The message is too long: shorten it to send it. </span>}
      <span>
        {length.toLocaleString('en')} of {MAX_CHARS.toLocaleString('en')} characters
      </span>
    </p>
  );
}

/** In characters as the server counts them: an emoji of one code point is one. */
function lengthOf(text: string): number {
  if (text.length < COUNTED_FROM) return text.length;
  let length = 0;
  for (const _ of text) length += 1;
  return length;
}
