/**
 * Text of the graph as it may be shown. Anyone may have written it, so what moves or hides other text is
 * taken out: controls, line breaks, marks of direction, characters without width.
 */
const kHidden =
  /[\0-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb]/g;

export function shownText(text: string): string {
  return text.replace(/\s+/g, ' ').replace(kHidden, '').trim();
}

/** The same within a sentence of ours: right-to-left text turns no word around but its own. */
export function isolated(text: string): string {
  return `\u2068${shownText(text)}\u2069`;
}

/** The address if it is one that a link may lead to, else null. */
export function webAddress(text: string): URL | null {
  if (!/^https?:\/\//i.test(text)) return null;
  try {
    return new URL(text);
  } catch {
    return null;
  }
}
