import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, test } from 'vitest';
import { blocksOf, spansOf } from './format';
import { RichText } from './RichText';

describe('blocksOf', () => {
  test('code fences become blocks with their language', () => {
    expect(blocksOf('Try this:\n\n```rust\nfn main() {}\n```\n\nDone.')).toEqual([
      { kind: 'text', text: 'Try this:' },
      { kind: 'code', language: 'rust', text: 'fn main() {}' },
      { kind: 'text', text: 'Done.' },
    ]);
  });

  test('a fence that is still open runs to the end', () => {
    expect(blocksOf('a\n```\nlet x')).toEqual([
      { kind: 'text', text: 'a' },
      { kind: 'code', language: '', text: 'let x' },
    ]);
  });

  test('a longer fence may hold a shorter one', () => {
    expect(blocksOf('````md\n```\nx\n```\n````')).toEqual([{ kind: 'code', language: 'md', text: '```\nx\n```' }]);
  });

  test('text without a fence keeps its lines', () => {
    expect(blocksOf('one\n\n  two')).toEqual([{ kind: 'text', text: 'one\n\n  two' }]);
  });
});

test('inline code and strong words are found and nothing else is touched', () => {
  expect(spansOf('use `a**b` or **this**, 2 ** 3, `open')).toEqual([
    { kind: 'plain', text: 'use ' },
    { kind: 'code', text: 'a**b' },
    { kind: 'plain', text: ' or ' },
    { kind: 'strong', text: 'this' },
    { kind: 'plain', text: ', 2 ** 3, `open' },
  ]);
});

test('markup in an answer is shown and never becomes markup', () => {
  const evil = '<img src=x onerror=alert(1)>\n```"><script>\n</code><script>alert(1)</script>\n```\n**<b>**`<i>`';
  const html = renderToStaticMarkup(<RichText text={evil} />);
  expect(html).not.toMatch(/<(img|script|b|i)\b/);
  expect(html).toContain('&lt;img src=x onerror=alert(1)&gt;');
});
