import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Citation } from './citations';
import { useStrings } from './context';
import { FactCard } from './fact_card';
import { fill } from './strings';

interface Props {
  /** From renderMarkdown(), with an element for each mark. */
  html: string;
  lang: string;
  streaming: boolean;
  citations: readonly Citation[];
}

/** The text of an answer. Pressing a mark opens its fact. */
export function Prose({ html, lang, streaming, citations }: Props) {
  const t = useStrings();
  const prose = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState<HTMLDataElement | null>(null);
  useEffect(() => setOpen(null), [html]);

  const citationAt = (mark: HTMLDataElement) => citations[Number(mark.value)];
  // The marks come with the HTML; what makes them buttons is set on them here.
  useLayoutEffect(() => {
    for (const mark of prose.current?.querySelectorAll<HTMLDataElement>('.cite') ?? []) {
      mark.tabIndex = 0;
      mark.role = 'button';
      mark.ariaLabel = fill(t.citationLabel, { n: citationAt(mark)?.index ?? '' });
      mark.ariaHasPopup = 'dialog';
      mark.ariaExpanded = String(mark === open);
    }
  }, [html, open, t]);

  const press = (event: Event): boolean => {
    const mark = (event.target as Element).closest<HTMLDataElement>('.cite');
    if (mark) setOpen(mark === open ? null : mark);
    return mark !== null;
  };
  const fact = open && citationAt(open);
  return (
    <>
      <div
        ref={prose}
        class={streaming ? 'prose streaming' : 'prose'}
        lang={lang}
        dangerouslySetInnerHTML={{ __html: html }}
        onClick={press}
        onKeyDown={(event) => {
          const pressed = event.key === 'Enter' || event.key === ' ';
          if (pressed && press(event)) event.preventDefault(); // a space would scroll
        }}
      />
      {fact && (
        <FactCard
          key={open.value}
          citation={fact}
          mark={open}
          onClose={(returnFocus) => {
            if (returnFocus) open.focus({ preventScroll: true });
            setOpen(null);
          }}
        />
      )}
    </>
  );
}
