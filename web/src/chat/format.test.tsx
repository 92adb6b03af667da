import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, test } from 'vitest';
import { blocksOf, shownOf } from './blocks';
import { RichText, safeUrl } from './RichText';

const html = (text: string) => renderToStaticMarkup(<RichText text={text} />);

describe('blocksOf', () => {
  test('paragraphs, headings and code stand for themselves', () => {
    const text = '# Title\n\nOne\ntwo\n```rust\nfn main() {\n\n}\n```\nThree';
    expect(blocksOf(text)).toEqual(['# Title\n', 'One\ntwo', '```rust\nfn main() {\n\n}\n```', 'Three']);
  });

  test('a list keeps its items, their paragraphs and their code together', () => {
    const list = '1. one\n\n   more\n\n   ```\n   code\n   ```\n\n2. two\n   - three';
    expect(blocksOf(`Look:\n\n${list}\n\nDone`)).toEqual(['Look:\n', `${list}\n`, 'Done']);
  });

  test('a fence that is still open runs to the end', () => {
    expect(blocksOf('a\n```\nlet x\n\ny')).toEqual(['a', '```\nlet x\n\ny']);
  });

  test('a longer fence may hold a shorter one', () => {
    expect(blocksOf('````md\n```\nx\n```\n````')).toEqual(['````md\n```\nx\n```\n````']);
  });

  test('an answer with definitions stays whole', () => {
    const text = 'See [this][1].\n\nAnd:\n\n[1]: https://example.com';
    expect(blocksOf(text)).toEqual([text]);
    expect(html(text)).toContain('href="https://example.com"');
  });

  test('while an answer grows only its last block changes', () => {
    const text = 'One\n\n- a\n- b\n\n## Two\n\n```js\nlet a;\n\nlet b;\n```\n\nThree **four**';
    let before: string[] = [];
    for (let end = 1; end <= text.length; end += 1) {
      const now = blocksOf(text.slice(0, end));
      expect(now.slice(0, Math.max(0, before.length - 1)).map((block) => block.trimEnd())).toEqual(
        before.slice(0, -1).map((block) => block.trimEnd()),
      );
      before = now;
    }
  });
});

test('what is not clear yet waits', () => {
  expect(shownOf('Look:\n-')).toBe('Look:');
  expect(shownOf('Look:\n 12.')).toBe('Look:');
  expect(shownOf('Look:\n- a')).toBe('Look:\n- a');
  expect(shownOf('3 - 2 =')).toBe('3 - 2 =');
});

describe('an answer', () => {
  test('has headings below the message’s own, lists within lists, quotes, rules and emphasis', () => {
    const page = html('# A\n\n## B\n\n3. x\n   - y\n\n> q\n\n---\n\n*e* **s** ~~d~~ `c`');
    for (const piece of ['<h3>A</h3>', '<h4>B</h4>', '<ol start="3">', '<blockquote>', '<hr/>', '<em>e</em>', '<strong>s</strong>']) {
      expect(page).toContain(piece);
    }
    expect(page).toMatch(/<li>x\s*<ul>\s*<li>y<\/li>/);
    expect(page).toContain('<del>d</del> <code>c</code>');
  });

  test('has tables, with line breaks in them', () => {
    const page = html('| a | b |\n|---|--:|\n| 1<br>2 | 3 |');
    expect(page).toContain('<th>a</th>');
    expect(page).toContain('<td>1\n2</td>');
  });

  test('has code with its language', () => {
    expect(html('```c++ x\na < b\n```')).toMatch(/<span>c\+\+<\/span>.*<pre tabindex="0"><code>a &lt; b<\/code><\/pre>/i);
  });

  test('opens links elsewhere and tells them nothing', () => {
    const page = html('[x](https://example.com "t") and www.example.org');
    expect(page).toContain('<a href="https://example.com" title="t" target="_blank" rel="noopener noreferrer">x</a>');
    expect(page).toContain('<a href="http://www.example.org" target="_blank" rel="noopener noreferrer">');
  });

  test('links to the web and to mail only', () => {
    for (const address of ['javascript:alert(1)', 'JaVaScRiPt:alert(1)', 'data:text/html,x', '/admin', '//evil.example', '#x', 'ftp://x']) {
      expect(safeUrl(address)).toBeUndefined();
      expect(html(`[x](${address})`)).not.toContain('<a');
    }
    expect(safeUrl('mailto:ada@example.com')).toBe('mailto:ada@example.com');
  });

  test('loads no image, and links to it', () => {
    const page = html('![a cat](https://evil.example/p.png?q=secret)\n\n[![inner](https://i.example/x.png)](https://example.com)\n\n![r][1]\n\n[1]: https://r.example/');
    expect(page).not.toContain('<img');
    expect(page).toContain('rel="noopener noreferrer">Image: a cat</a>');
    expect(page).toContain('<a href="https://example.com" target="_blank" rel="noopener noreferrer">Image: inner</a>');
    expect(page).toContain('<a href="https://r.example/" target="_blank" rel="noopener noreferrer">Image: r</a>');
  });

  test('shows markup and never becomes markup', () => {
    const evil = '<img src=x onerror=alert(1)>\n\n```"><script>\n</code><script>alert(1)</script>\n```\n**<b>**`<i>` <a href="x">y</a>';
    const page = html(evil);
    expect(page).not.toMatch(/<(img|script|b|i|a)\b/);
    expect(page).toContain('&lt;img src=x onerror=alert(1)&gt;');
  });

  test('is read in the direction of each of its blocks, and code from the left', () => {
    expect(html('שלום\n\nhello\n\n```\nx\n```').match(/dir="\w+"/g)).toEqual(['dir="auto"', 'dir="auto"', 'dir="auto"', 'dir="ltr"']);
  });
});
