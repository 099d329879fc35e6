import { useLayoutEffect, useRef } from 'preact/hooks';
import type { Citation } from './citations';
import { useStrings } from './context';
import { shownText, webAddress } from './graph_text';
import { Icon } from './icons';
import { fill, languageOf, type Strings } from './strings';

const kGap = 6;
const kEdge = 12;

/** Under the mark, or above it where there is more room; never beyond the window. */
function placeBy(mark: Element, card: HTMLElement): void {
  const at = mark.getBoundingClientRect();
  const { clientWidth, clientHeight } = document.documentElement;
  card.style.maxHeight = '';
  const below = clientHeight - at.bottom - kGap - kEdge;
  const above = at.top - kGap - kEdge;
  const under = card.offsetHeight <= below || below >= above;
  card.style.maxHeight = `${Math.min(card.offsetHeight, under ? below : above)}px`;
  const top = under ? at.bottom + kGap : at.top - kGap - card.offsetHeight;
  const left = Math.min(at.left - kEdge, clientWidth - card.offsetWidth - kEdge);
  card.style.top = `${top}px`;
  card.style.left = `${Math.max(kEdge, left)}px`;
}

function isScrolledAway(mark: Element): boolean {
  const at = mark.getBoundingClientRect();
  const view = mark.closest('main')?.getBoundingClientRect();
  return view !== undefined && (at.bottom < view.top || at.top > view.bottom);
}

function validity({ validFrom, validTo }: Citation, t: Strings): string {
  const [from, to] = [shownText(validFrom), shownText(validTo)];
  if (from && to) return fill(t.factValidBetween, { from, to });
  if (from) return fill(t.factValidFrom, { from });
  return to && fill(t.factValidTo, { to });
}

function Source({ citation }: { citation: Citation }) {
  const t = useStrings();
  const address = webAddress(citation.url);
  const name = shownText(citation.source);
  if (!address) return <bdi>{name || t.factNoSource}</bdi>;
  // The name is the graph's word only, so the host that the link leads to stands beside it.
  return (
    <>
      <a href={address.href} target="_blank" rel="noopener noreferrer">
        <bdi>{name || address.host}</bdi>
      </a>
      {name && <small> {address.host}</small>}
    </>
  );
}

interface Props {
  citation: Citation;
  mark: HTMLElement;
  onClose(returnFocus: boolean): void;
}

/** The fact behind a mark. Its texts are the graph's, so they are shown as text and nothing else. */
export function FactCard({ citation, mark, onClose }: Props) {
  const t = useStrings();
  const card = useRef<HTMLDivElement>(null);
  const close = useRef(onClose);
  close.current = onClose;

  useLayoutEffect(() => {
    if (card.current) placeBy(mark, card.current);
  });

  // A layout effect: a key that follows at once must find the card listening.
  useLayoutEffect(() => {
    card.current?.focus({ preventScroll: true });
    const follow = () => {
      if (isScrolledAway(mark)) close.current(false);
      else if (card.current) placeBy(mark, card.current);
    };
    const onScroll = (event: Event) => {
      if (!card.current?.contains(event.target as Node)) follow();
    };
    const onPress = ({ target }: Event) => {
      const inside = card.current?.contains(target as Node) || mark.contains(target as Node);
      if (!inside) close.current(false);
    };
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.isComposing) return;
      event.stopPropagation(); // it closes the card only, and does not stop an answer as well
      close.current(true);
    };
    addEventListener('resize', follow);
    document.addEventListener('scroll', onScroll, { capture: true, passive: true });
    document.addEventListener('pointerdown', onPress);
    document.addEventListener('keydown', onKeyDown, { capture: true });
    return () => {
      removeEventListener('resize', follow);
      document.removeEventListener('scroll', onScroll, { capture: true });
      document.removeEventListener('pointerdown', onPress);
      document.removeEventListener('keydown', onKeyDown, { capture: true });
    };
  }, [mark]);

  const [subject, relation, object] = [
    shownText(citation.subject),
    shownText(citation.relation),
    shownText(citation.object),
  ];
  const valid = validity(citation, t);
  return (
    <div
      ref={card}
      class="fact-card"
      role="dialog"
      aria-live="off"
      aria-label={t.factLabel}
      tabIndex={-1}
      onFocusOut={(event) => {
        const next = event.relatedTarget;
        if (next instanceof Node && !card.current?.contains(next) && next !== mark) onClose(false);
      }}
    >
      <button
        type="button"
        class="icon-button"
        aria-label={t.close}
        onClick={() => onClose(true)}
      >
        <Icon name="close" />
      </button>
      <p class="fact-asked" lang={languageOf(subject + relation)}>
        <bdi>{subject}</bdi> · <bdi>{relation}</bdi>
      </p>
      <p class="fact-object" dir="auto" lang={languageOf(object)}>
        {object}
      </p>
      <dl>
        <dt>{t.factSource}</dt>
        <dd>
          <Source citation={citation} />
        </dd>
        {valid && (
          <>
            <dt>{t.factValid}</dt>
            <dd>{valid}</dd>
          </>
        )}
        {citation.confidence < 1 && (
          <>
            <dt>{t.factConfidence}</dt>
            {/* Rounded down: what is not certain never shows as 100 %. */}
            <dd>{Math.max(0, Math.floor(citation.confidence * 100 + 1e-9))}%</dd>
          </>
        )}
      </dl>
    </div>
  );
}
