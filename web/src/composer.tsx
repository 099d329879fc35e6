import { useStrings } from './context';
import { Icon } from './icons';
import { TextArea } from './text_area';

interface Props {
  draft: string;
  setDraft(text: string): void;
  busy: boolean;
  ready: boolean;
  focusKey: unknown;
  onSend(text: string): void;
  onStop(): void;
}

export function Composer({ draft, setDraft, busy, ready, focusKey, onSend, onStop }: Props) {
  const t = useStrings();
  const canSend = ready && !busy && draft.trim() !== '';
  const submit = () => {
    if (canSend) onSend(draft.trim());
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <div class="composer-box">
        <TextArea
          label={t.inputLabel}
          placeholder={t.inputPlaceholder}
          value={draft}
          focused={!matchMedia('(hover: none)').matches}
          focusKey={focusKey}
          onInput={setDraft}
          onEnter={submit}
        />
        {busy ? (
          <button
            type="button"
            class="round-button"
            data-action="stop"
            aria-label={t.stop}
            title={`${t.stop} (Esc)`}
            onClick={onStop}
          >
            <Icon name="stop" />
          </button>
        ) : (
          <button
            type="submit"
            class="round-button"
            data-action="send"
            aria-label={t.send}
            title={t.send}
            disabled={!canSend}
          >
            <Icon name="send" />
          </button>
        )}
      </div>
      <p class="composer-note">
        <span class="keys-hint">{t.keysHint}</span>
        <span>{t.modelNote}</span>
      </p>
    </form>
  );
}
