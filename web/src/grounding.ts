import { fieldsOf, isObject, textOf } from './json';

/** When an answer looks things up in the server's knowledge graph, and how that went. */

export const groundingModes = ['auto', 'always', 'strict', 'off'] as const;
export type GroundingMode = (typeof groundingModes)[number];

const kDecisions = ['closed_book', 'retrieved', 'abstained', 'ambiguous'] as const;

export interface Query {
  entity: string;
  relation: string;
  found: boolean;
  /** The model was not sure enough of having understood, so nothing was asked. */
  doubtful: boolean;
}

export interface Grounding {
  decision: (typeof kDecisions)[number];
  queries: Query[];
}

/** The graph of a server: how much it holds, and the mode of a request that names none. */
export interface GraphInfo {
  facts: number;
  mode: GroundingMode | null;
}

function parseQuery(value: unknown): Query | null {
  if (!isObject(value)) return null;
  const query = { entity: textOf(value, 'entity'), relation: textOf(value, 'relation') };
  return query.entity === '' ? null : {
    ...query,
    found: value['found'] === true,
    doubtful: value['doubtful'] === true,
  };
}

/** From the server and from storage alike: the names are the same. */
export function parseGrounding(value: unknown): Grounding | null {
  const fields = fieldsOf(value);
  const decision = kDecisions.find((known) => known === fields?.['decision']);
  if (!fields || !decision) return null;
  const queries = Array.isArray(fields['queries']) ? fields['queries'] : [];
  return { decision, queries: queries.map(parseQuery).filter((query) => query !== null) };
}

export function parseGraphInfo(value: unknown): GraphInfo | null {
  const fields = fieldsOf(value);
  if (!fields) return null;
  const mode = groundingModes.find((known) => known === fields['mode']) ?? null;
  return { facts: Number(fields['facts']) || 0, mode };
}
