import { useStrings } from './context';
import { isolated } from './graph_text';
import type { Grounding } from './grounding';
import { fill, type Strings } from './strings';

/** What an answer's look-ups came to, in a line; empty if there were none. `found`: facts it cites. */
export function lookUpWords({ decision, queries }: Grounding, found: number, t: Strings): string {
  if (decision === 'closed_book') return '';
  const last = queries.at(-1);
  if (decision === 'ambiguous')
    return last ? fill(t.lookedUpAmbiguous, { what: isolated(last.entity) }) : '';
  const missing = queries
    .filter((query) => !query.found && !query.doubtful)
    .map(({ entity, relation }) =>
      relation === ''
        ? isolated(entity)
        : fill(t.relationOf, { entity: isolated(entity), relation: isolated(relation) }),
    );
  const parts: string[] = [];
  if (found > 0) parts.push(fill(found === 1 ? t.lookedUpOne : t.lookedUp, { n: found }));
  if (missing.length > 0)
    parts.push(fill(t.lookedUpNothing, { what: [...new Set(missing)].join(t.listComma) }));
  else if (decision === 'abstained') parts.push(t.lookedUpUnsure);
  return parts.join(t.clauseBreak);
}

export function LookUpLine({ grounding, found }: { grounding: Grounding; found: number }) {
  const words = lookUpWords(grounding, found, useStrings());
  return words === '' ? null : <p class="note look-up-line">{words}</p>;
}
