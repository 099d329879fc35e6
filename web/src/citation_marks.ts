import { Tokenizer, type MarkedExtension, type Tokens } from 'marked';
import type { Citation } from './citations';

/**
 * The marks [n] that stand for a fact, on their way through Markdown. There each is "\uFFFC3\uFFFC" with
 * its place in the list: that character is punctuation to Markdown, as the bracket is, so what stands
 * around it is read as it was while the answer grew. The answer's own \uFFFC are replaced: none is forged.
 */
const kMark = '\uFFFC';
const kMarkText = new RegExp(`^${kMark}(\\d+)${kMark}`);
const kUnread = new RegExp(`${kMark}(\\d+)${kMark}|%EF%BF%BC(\\d+)%EF%BF%BC`, 'g'); // or in an address

export function putMarks(text: string, citations: readonly Citation[]): string {
  const characters = Array.from(text, (c) => (c === kMark ? '\uFFFD' : c));
  let end = 0;
  let marked = '';
  for (const [i, citation] of citations.entries()) {
    const mark = characters.slice(citation.start, citation.end).join('');
    if (citation.start < end || mark !== `[${citation.index}]`) continue; // not this answer's
    marked += characters.slice(end, citation.start).join('') + kMark + i + kMark;
    end = citation.end;
  }
  return marked + characters.slice(end).join('');
}

/** Marks where Markdown reads no text, as in code, are text again. */
export function unreadMarksAsText(html: string, citations: readonly Citation[]): string {
  return html.replace(kUnread, (whole, inText?: string, inAddress?: string) => {
    const citation = citations[Number(inText ?? inAddress)];
    return citation ? `[${citation.index}]` : whole;
  });
}

/** Reads the marks as <data> elements; their `value` is the place in the list. */
export const citationMarks: MarkedExtension = {
  extensions: [
    {
      name: 'citation',
      level: 'inline',
      start: (text) => {
        const at = text.indexOf(kMark);
        return at < 0 ? undefined : at;
      },
      tokenizer(text) {
        const match = kMarkText.exec(text);
        // A button within a link would be two things to press in one place.
        if (!match || this.lexer.state.inLink) return undefined;
        return { type: 'citation', raw: match[0], place: match[1] };
      },
      // No button element: a line may break on either side of one, and begin with the mark or the full stop
      // after it. The word joiner keeps the mark with the word before.
      renderer: ({ raw, place }: Tokens.Generic) =>
        `\u2060<data class="cite" value="${place}">${raw}</data>`,
    },
  ],
  tokenizer: {
    // A bare address ends where a mark begins.
    url(text) {
      return Tokenizer.prototype.url.call(this, text.split(kMark, 1)[0] ?? '');
    },
  },
};
