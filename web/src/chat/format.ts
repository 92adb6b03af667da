export type Block = { kind: 'text'; text: string } | { kind: 'code'; language: string; text: string };
export type Span = { kind: 'plain' | 'code' | 'strong'; text: string };

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;

/** Splits an answer at its code fences. A fence that is still open, as while streaming, runs to the end. */
export function blocksOf(answer: string): Block[] {
  const blocks: Block[] = [];
  let text: string[] = [];
  let code: { fence: string; language: string; lines: string[] } | undefined;
  const endText = () => {
    const joined = text.join('\n').replace(/^\n+|\n+$/g, '');
    if (joined !== '') blocks.push({ kind: 'text', text: joined });
    text = [];
  };
  const endCode = () => {
    if (code) blocks.push({ kind: 'code', language: code.language, text: code.lines.join('\n') });
    code = undefined;
  };
  for (const line of answer.split(/\r\n|\r|\n/)) {
    if (code) {
      const closing = line.trim();
      const closes = closing.length >= code.fence.length && closing === code.fence.charAt(0).repeat(closing.length);
      if (closes) endCode();
      else code.lines.push(line);
      continue;
    }
    const open = FENCE.exec(line);
    if (open) {
      endText();
      code = { fence: open[1] ?? '```', language: open[2] ?? '', lines: [] };
    } else {
      text.push(line);
    }
  }
  endText();
  endCode();
  return blocks;
}

/** Finds `code` and **strong** within one run of text; everything else stays as it was written. */
export function spansOf(text: string): Span[] {
  const spans: Span[] = [];
  for (const part of text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/)) {
    if (part === '') continue;
    if (part.length > 2 && part.startsWith('`') && part.endsWith('`')) {
      spans.push({ kind: 'code', text: part.slice(1, -1) });
    } else if (part.length > 4 && part.startsWith('**') && part.endsWith('**')) {
      spans.push({ kind: 'strong', text: part.slice(2, -2) });
    } else {
      spans.push({ kind: 'plain', text: part });
    }
  }
  return spans;
}
