import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

const kNear = 48;

/** Follows new text while the reader is at the bottom, and leaves who scrolled up alone. */
export function useStickToBottom(content: readonly unknown[]) {
  const scroller = useRef<HTMLElement>(null);
  const [atBottom, setAtBottom] = useState(true);
  const stick = useRef(true);

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const measure = () => {
      const rest = element.scrollHeight - element.scrollTop - element.clientHeight;
      stick.current = rest < kNear;
      setAtBottom(stick.current);
    };
    element.addEventListener('scroll', measure, { passive: true });
    return () => element.removeEventListener('scroll', measure);
  }, []);

  const toBottom = useCallback(() => {
    stick.current = true;
    setAtBottom(true);
    scroller.current?.scrollTo({ top: scroller.current.scrollHeight });
  }, []);

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element || !stick.current) return;
    element.scrollTop = content.length === 0 ? 0 : element.scrollHeight;
  }, [content]);

  return { scroller, atBottom, toBottom };
}
