import { useCopy } from '../ui/useCopy';

/** A block of code, to be copied. */
export function CodeBlock({ language, text }: { language: string; text: string }) {
  const { copied, copy } = useCopy();
  return (
    <figure className="code" dir="ltr">
      <figcaption>
        <span>{language || 'code'}</span>
        <button type="button" className="link" onClick={() => copy(text)}>
          {copied ? 'Copied' : 'Copy'}
        </button>
      </figcaption>
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </figure>
  );
}
