/** Recognises classical verse in an answer, so that it can be set as verse. */

export interface Verse {
  heading: string[];
  lines: string[];
}

const kLine = /^[\p{Script=Han}，。！？；、：·—…“”‘’《》〈〉（）\s]+$/u;
const kPause = /[，。！？；、：]/u;
const kSentenceEnd = /(?<=[。！？；])(?![”’》])/u;
const kLongestClause = 11;
const kLongestHeading = 40; // a long title, form, rhyme and rhyme words

function clausesOf(line: string): number[] {
  return line
    .split(kPause)
    .map((clause) => (clause.match(/\p{Script=Han}/gu) ?? []).length)
    .filter((length) => length > 0);
}

/** All clauses 4 to 7 characters and equally long; the last may still be growing. */
function isRegular(clauses: number[]): boolean {
  const first = clauses[0] ?? 0;
  const last = clauses.at(-1) ?? 0;
  if (first < 4 || first > 7 || clauses.length < 2) return false;
  const grown = clauses.slice(0, -1);
  return grown.every((n) => n === first) && last <= first && (clauses.length > 2 || last === first);
}

/** What is known of an answer before it is read: verse was not asked for, was, or is just being written. */
export type VerseHint = 'none' | 'asked' | 'growing';

export function verseHint(question: string, growing: boolean): VerseHint {
  if (/谁|誰|意思|解释|解釋|什么|哪|who|what|mean|explain/i.test(question)) return 'none';
  if (!/[诗詩词詞曲赋賦]|绝句|絕句|律|对联|poem|poetry|quatrain|verse/i.test(question))
    return 'none';
  return growing ? 'growing' : 'asked';
}

/**
 * Verse, or null for prose. Regular lines speak for themselves; uneven ones (词) count as verse only if
 * verse was asked for. While such an answer grows, its first character already counts, so that the face
 * does not change under the reader. Verse written in one line is broken after each sentence.
 */
export function parseVerse(text: string, hint: VerseHint): Verse | null {
  const all = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (all.length === 0 || !all.every((line) => kLine.test(line))) return null;

  const pausing = all.findIndex((line) => kPause.test(line));
  const heading = pausing > 0 && pausing <= 2 ? all.slice(0, pausing) : [];
  const body = all.slice(heading.length);
  if (heading.some((line) => line.length > kLongestHeading)) return null;

  const clauses = body.flatMap(clausesOf);
  const enough = hint === 'growing' || (hint === 'asked' && clauses.length >= 3);
  const uneven = enough && clauses.every((n) => n <= kLongestClause);
  if (!isRegular(clauses) && !uneven) return null;
  const lines = body.length > 1 ? body : (body[0] ?? '').split(kSentenceEnd).map((l) => l.trim());
  return { heading, lines: lines.filter((line) => line !== '') };
}
