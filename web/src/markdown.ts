import DOMPurify from 'dompurify';
import { Marked, type Tokens } from 'marked';
import { citationMarks, putMarks, unreadMarksAsText } from './citation_marks';
import type { Citation } from './citations';
import { parseVerse, type Verse, type VerseHint } from './verse';

/**
 * An answer as safe HTML. Three walls: raw HTML is shown as text, the sanitizer lets only the tags below
 * through, and the page's content policy runs no script but its own and loads nothing from elsewhere.
 */

const kTags =
  'p br hr strong em del code pre blockquote ul ol li h1 h2 h3 h4 h5 h6 table thead tbody tr th td a span data';

const kEscapes: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => kEscapes[c] ?? c);
}

function verseHtml({ heading, lines }: Verse): string {
  const title = heading
    .map(
      (line, i) => `<span class="verse-${i === 0 ? 'title' : 'author'}">${escapeHtml(line)}</span>`,
    )
    .join('');
  return `<p class="verse" lang="zh-CN">${title}${lines.map(escapeHtml).join('<br>')}</p>`;
}

function readerFor(hint: VerseHint): Marked {
  return new Marked(citationMarks, {
    gfm: true,
    breaks: true,
    renderer: {
      html: ({ text }: Tokens.HTML | Tokens.Tag) => escapeHtml(text),
      // A picture would be a request to a foreign host: show its address as a plain link instead.
      image: ({ text, href }: Tokens.Image) =>
        `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`,
      paragraph(token: Tokens.Paragraph) {
        const verse = parseVerse(token.text, hint);
        return verse ? verseHtml(verse) : `<p>${this.parser.parseInline(token.tokens)}</p>\n`;
      },
    },
  });
}

const readers: Record<VerseHint, Marked> = {
  none: readerFor('none'),
  asked: readerFor('asked'),
  growing: readerFor('growing'),
};

DOMPurify.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName !== 'A') return;
  node.setAttribute('target', '_blank');
  node.setAttribute('rel', 'noopener noreferrer nofollow');
});

/** The marks of `citations` become elements of class "cite"; see citation_marks.ts. */
export function renderMarkdown(
  text: string,
  hint: VerseHint,
  citations: readonly Citation[] = [],
): string {
  const html = readers[hint].parse(putMarks(text, citations), { async: false });
  return DOMPurify.sanitize(unreadMarksAsText(html, citations), {
    ALLOWED_TAGS: kTags.split(' '),
    ALLOWED_ATTR: ['href', 'class', 'lang', 'start', 'align', 'value'],
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
  });
}
