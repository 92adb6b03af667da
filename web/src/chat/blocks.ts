const FENCE = /^( {0,3})(`{3,}(?=[^`]*$)|~{3,})/;
const LIST_ITEM = /^ {0,3}([-*+]|\d{1,9}[.)])(\s|$)/;
/** A definition is known in all of its text, so that such an answer cannot be taken apart. */
const DEFINITION = /^ {0,3}\[[^\]\n]+\]:/m;
/** The beginning of something that is not clear yet: a list or the underline of a heading. */
const UNCLEAR_END = /\n[ \t]*([-=*+]{1,2}|\d{1,9}[.)]?)[ \t]*$/;

/**
 * Splits Markdown into runs of whole top-level blocks. While an answer grows only its last run changes, so that the others need
 * not be parsed again. A fence that is still open runs to the end.
 */
export function blocksOf(markdown: string): string[] {
  if (DEFINITION.test(markdown)) return [markdown];
  const blocks: string[] = [];
  let lines: string[] = [];
  let fence: string | undefined;
  let afterBlank = false;
  const end = () => {
    if (lines.some((line) => line.trim() !== '')) blocks.push(lines.join('\n'));
    lines = [];
  };
  for (const line of markdown.split(/\r\n|\r|\n/)) {
    if (fence !== undefined) {
      lines.push(line);
      if (closes(line, fence)) {
        fence = undefined;
        // A block of code within a list is indented, and the list may go on.
        if (!LIST_ITEM.test(lines[0] ?? '')) end();
      }
      continue;
    }
    const opening = FENCE.exec(line);
    if (opening?.[1] === '' || (afterBlank && beginsBlock(line, lines[0]))) end();
    fence = opening?.[2];
    lines.push(line);
    afterBlank = line.trim() === '';
  }
  end();
  return blocks;
}

/** What of a growing text can be shown already without being taken for something else a moment later. */
export function shownOf(growing: string): string {
  return growing.replace(UNCLEAR_END, '');
}

function closes(line: string, fence: string): boolean {
  const text = line.trim();
  return text.length >= fence.length && text === fence.charAt(0).repeat(text.length);
}

/** Whether a line after an empty one stands for itself: what is indented, or the next item of a list, belongs to what came before. */
function beginsBlock(line: string, first: string | undefined): boolean {
  if (line.trim() === '' || /^[ \t]/.test(line)) return false;
  return first === undefined || !LIST_ITEM.test(line) || !LIST_ITEM.test(first);
}
