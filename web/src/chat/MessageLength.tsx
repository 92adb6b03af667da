/** The longest message, in characters, that servers take unless they are set up otherwise. */
const USUAL_MAX = 32_000;

export function isTooLong(text: string): boolean {
  const max = maxChars();
  return lengthOf(text, max) > max;
}

/** How long a message is, once that matters. */
export function MessageLength({ text }: { text: string }) {
  const max = maxChars();
  const length = lengthOf(text, max);
  if (length < countedFrom(max)) return null;
  return (
    <p className={length > max ? 'length over' : 'length'}>
      {length > max && <span role="alert">The message is too long: shorten it to send it. </span>}
      <span>
        {length.toLocaleString('en')} of {max.toLocaleString('en')} characters
      </span>
    </p>
  );
}

/** What the server says in its page. */
function maxChars(): number {
  const told = document.querySelector<HTMLMetaElement>('meta[name="message-max-chars"]')?.content;
  const max = Number(told);
  return Number.isInteger(max) && max > 0 ? max : USUAL_MAX;
}

/** From here on the characters are counted before one's eyes. */
function countedFrom(max: number): number {
  return Math.floor((max * 15) / 16);
}

/** In characters as the server counts them: an emoji of one code point is one. */
function lengthOf(text: string, max: number): number {
  if (text.length < countedFrom(max)) return text.length;
  let length = 0;
  for (const _ of text) length += 1;
  return length;
}
