import type { Nodes, PhrasingContent, Root } from 'mdast';

const LINE_BREAK = /^<br\s*\/?>$/i;

/** Makes links of images, so that no answer makes the browser load anything, and line breaks of `<br>`, which models write into tables. */
export function remarkPlain() {
  return (tree: Root): void => visit(tree, false);
}

function visit(parent: Nodes, inLink: boolean): void {
  if (!('children' in parent)) return;
  const within = inLink || parent.type === 'link' || parent.type === 'linkReference';
  const children = parent.children as Nodes[];
  children.forEach((child, at) => {
    const plain = plainOf(child, within);
    if (plain) children[at] = plain;
    else visit(child, within);
  });
}

function plainOf(node: Nodes, inLink: boolean): PhrasingContent | undefined {
  if (node.type === 'html' && LINE_BREAK.test(node.value.trim())) return { type: 'break' };
  if (node.type !== 'image' && node.type !== 'imageReference') return undefined;
  const children: PhrasingContent[] = [{ type: 'text', value: `Image: ${node.alt || 'without a description'}` }];
  if (inLink) return children[0];
  if (node.type === 'image') return { type: 'link', url: node.url, title: node.title ?? null, children };
  return { ...node, type: 'linkReference', children };
}
