import { memo, useState } from 'react';
import { blocksOf, spansOf } from './format';

/** An answer as text, with code set apart. React escapes all of it: no part of an answer is ever HTML. */
export const RichText = memo(function RichText({ text }: { text: string }) {
  return blocksOf(text).map((block, at) =>
    block.kind === 'code' ? (
      <CodeBlock key={at} language={block.language} text={block.text} />
    ) : (
      <p key={at}>
        {spansOf(block.text).map((span, n) => {
          if (span.kind === 'code') return <code key={n}>{span.text}</code>;
          if (span.kind === 'strong') return <strong key={n}>{span.text}</strong>;
          return span.text;
        })}
      </p>
    ),
  );
});

function CodeBlock({ language, text }: { language: string; text: string }) {
  const [copied, setCopied] = useState(false);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      setTimeout(() => setCopied(false), 1500);
    } catch {
      // Without the permission the text can still be selected by hand.
    }
  }
  return (
    <figure className="code">
      <figcaption>
        <span>{language || 'code'}</span>
        <button type="button" className="link" onClick={() => void copy()}>
          {copied ? 'Copied' : 'Copy'}
        </button>
      </figcaption>
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </figure>
  );
}
