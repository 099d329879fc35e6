import { useStrings } from './context';
import { Seal } from './icons';
import { languageOf, suggestions } from './strings';

interface Props {
  ready: boolean;
  hasGraph: boolean;
  onPick(text: string): void;
}

/** What an empty chat shows. */
export function Welcome({ ready, hasGraph, onPick }: Props) {
  const t = useStrings();
  const texts = hasGraph ? [...suggestions, t.suggestionWithFacts] : suggestions;
  return (
    <section class="welcome">
      <Seal full />
      <h1>{t.name}</h1>
      <p>{t.tagline}</p>
      <ul class="suggestions" aria-label={t.suggestionsLabel}>
        {texts.map((text) => (
          <li key={text}>
            <button
              type="button"
              lang={languageOf(text)}
              disabled={!ready}
              onClick={() => onPick(text)}
            >
              {text}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
