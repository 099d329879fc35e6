import { useStrings } from './context';
import { Seal } from './icons';
import { languageOf, suggestions } from './strings';

/** What an empty chat shows. */
export function Welcome({ ready, onPick }: { ready: boolean; onPick(text: string): void }) {
  const t = useStrings();
  return (
    <section class="welcome">
      <Seal full />
      <h1>{t.name}</h1>
      <p>{t.tagline}</p>
      <ul class="suggestions" aria-label={t.suggestionsLabel}>
        {suggestions.map((text) => (
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
