import { memo } from 'react';
import Markdown, { type Components, type ExtraProps } from 'react-markdown';
import remarkGfm from 'remark-gfm';
import { blocksOf, shownOf } from './blocks';
import { CodeBlock } from './CodeBlock';
import { remarkPlain } from './remarkPlain';

const PLUGINS = [remarkGfm, remarkPlain];

/** An answer's Markdown as React elements: no part of an answer is ever HTML, and none makes the browser load anything. */
export const RichText = memo(function RichText({ text, growing = false }: { text: string; growing?: boolean }) {
  return blocksOf(growing ? shownOf(text) : text).map((block, at) => <Block key={at} markdown={block} />);
});

const Block = memo(function Block({ markdown }: { markdown: string }) {
  return (
    <div className="block" dir="auto">
      <Markdown remarkPlugins={PLUGINS} components={COMPONENTS} disallowedElements={['img']} urlTransform={safeUrl}>
        {markdown}
      </Markdown>
    </div>
  );
});

/** The address if it is of the web or of mail; nothing otherwise. */
export function safeUrl(address: string): string | undefined {
  return /^(https?:\/\/|mailto:)/i.test(address) ? address : undefined;
}

const COMPONENTS: Components = {
  a: ({ href, title, children }) =>
    href ? (
      <a href={href} title={title} target="_blank" rel="noopener noreferrer">
        {children}
      </a>
    ) : (
      children
    ),
  // Line breaks stand in the text too, and are shown as they stand.
  br: () => null,
  pre: ({ node }) => <CodeBlock {...codeOf(node)} />,
  table: ({ children }) => (
    <div className="table" role="region" aria-label="Table" tabIndex={0}>
      <table>{children}</table>
    </div>
  ),
  input: ({ checked }) => <input type="checkbox" checked={checked} disabled aria-label={checked ? 'Done' : 'To do'} />,
  // Each message has a heading of the second level.
  h1: 'h3',
  h2: 'h4',
  h3: 'h5',
  h4: 'h6',
  h5: 'h6',
};

function codeOf(pre: ExtraProps['node']): { language: string; text: string } {
  const code = pre?.children[0];
  if (code?.type !== 'element') return { language: '', text: '' };
  const names = code.properties['className'];
  const language = Array.isArray(names) ? String(names[0] ?? '').replace(/^language-/, '') : '';
  const text = code.children.map((child) => (child.type === 'text' ? child.value : '')).join('');
  return { language, text: text.replace(/\n$/, '') };
}
