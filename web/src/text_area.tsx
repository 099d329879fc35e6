import { useLayoutEffect, useRef } from 'preact/hooks';

interface Props {
  class?: string;
  label: string;
  value: string;
  placeholder?: string;
  focused?: boolean;
  /** Changing it moves the focus here again. */
  focusKey?: unknown;
  onInput(value: string): void;
  onEnter(): void;
  onEscape?(): void;
}

/** A phone's keyboard has no Shift+Enter, so there Enter is a new line and a button sends. */
const phone = matchMedia('(hover: none) and (pointer: coarse)');

/** A text box that grows with its text. Enter hands the text in, unless an input method is composing. */
export function TextArea(props: Props) {
  const box = useRef<HTMLTextAreaElement>(null);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [props.value]);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element || !props.focused) return;
    element.focus();
    element.setSelectionRange(element.value.length, element.value.length);
  }, [props.focused, props.focusKey]);

  const onKeyDown = (event: KeyboardEvent) => {
    // 229: Safari reports the Enter that ends a composition after `compositionend`.
    if (event.isComposing || event.keyCode === 229) return;
    if (
      event.key === 'Enter' &&
      !event.shiftKey &&
      (event.ctrlKey || event.metaKey || !phone.matches)
    ) {
      event.preventDefault();
      props.onEnter();
    } else if (event.key === 'Escape' && props.onEscape) {
      event.stopPropagation();
      props.onEscape();
    }
  };

  return (
    <textarea
      ref={box}
      class={props.class}
      rows={1}
      aria-label={props.label}
      placeholder={props.placeholder}
      value={props.value}
      enterkeyhint={phone.matches ? 'enter' : 'send'}
      onInput={(event) => props.onInput(event.currentTarget.value)}
      onKeyDown={onKeyDown}
    />
  );
}
