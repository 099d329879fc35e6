import { fieldsOf, isObject, textOf } from './json';

/** A mark [n] of an answer, and the fact of the knowledge graph that it stands for. */
export interface Citation {
  index: number;
  /** The mark itself, in code points of the answer. */
  start: number;
  end: number;
  subject: string;
  relation: string;
  object: string;
  source: string;
  url: string;
  confidence: number;
  validFrom: string;
  validTo: string;
}

/** From storage; a server's citation is first brought into the same form. */
function parseCitation(value: unknown): Citation | null {
  if (!isObject(value)) return null;
  const { index, start, end, confidence } = value;
  if (![index, start, end].every((n) => Number.isSafeInteger(n))) return null;
  const text = (key: keyof Citation) => textOf(value, key);
  return {
    index: index as number,
    start: start as number,
    end: end as number,
    subject: text('subject'),
    relation: text('relation'),
    object: text('object'),
    source: text('source'),
    url: text('url'),
    confidence: typeof confidence === 'number' ? confidence : 1,
    validFrom: text('validFrom'),
    validTo: text('validTo'),
  };
}

function fromServer(value: unknown): Citation | null {
  if (!isObject(value) || value['type'] !== 'kg_citation') return null;
  const fact = fieldsOf(value['kg_citation']);
  if (!fact) return null;
  const labels = fieldsOf(fact['labels']) ?? {};
  return parseCitation({
    ...fact,
    index: value['index'],
    start: value['start_index'],
    end: value['end_index'],
    subject: textOf(labels, 'subject') || fact['s'],
    relation: textOf(labels, 'relation') || fact['p'],
    object: textOf(labels, 'object') || fact['o'],
    validFrom: fact['valid_from'],
    validTo: fact['valid_to'],
  });
}

function readAll(value: unknown, read: (one: unknown) => Citation | null): Citation[] {
  if (!Array.isArray(value)) return [];
  return value.map(read).filter((citation) => citation !== null);
}

/** The citations among `annotations` of an answer; other kinds are passed over. */
export function readAnnotations(value: unknown): Citation[] {
  return readAll(value, fromServer);
}

export function parseCitations(value: unknown): Citation[] {
  return readAll(value, parseCitation);
}
