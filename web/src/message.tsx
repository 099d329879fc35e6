import { useMemo, useState } from 'preact/hooks';
import type { Citation } from './citations';
import { copyText } from './clipboard';
import { useStrings } from './context';
import { Icon, Seal } from './icons';
import { LookUpLine } from './look_up_line';
import { renderMarkdown } from './markdown';
import { Prose } from './prose';
import { fill, languageOf, type Strings } from './strings';
import type { Message, Stats } from './store';
import { TextArea } from './text_area';
import { verseHint } from './verse';

function ActionButton(props: {
  icon: Parameters<typeof Icon>[0]['name'];
  label: string;
  action: string;
  disabled?: boolean;
  onClick(): void;
}) {
  return (
    <button
      type="button"
      class="icon-button"
      data-action={props.action}
      aria-label={props.label}
      title={props.label}
      disabled={props.disabled}
      onClick={props.onClick}
    >
      <Icon name={props.icon} />
    </button>
  );
}

function CopyButton({ text, onFailed }: { text: string; onFailed(): void }) {
  const t = useStrings();
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (!(await copyText(text))) return onFailed();
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <ActionButton
      icon={copied ? 'check' : 'copy'}
      label={copied ? t.copied : t.copy}
      action="copy"
      onClick={() => void copy()}
    />
  );
}

interface UserProps {
  message: Message;
  busy: boolean;
  onResend(text: string): void;
  onCopyFailed(): void;
}

export function UserMessage({ message, busy, onResend, onCopyFailed }: UserProps) {
  const t = useStrings();
  const [draft, setDraft] = useState<string | null>(null);
  if (draft !== null) {
    const submit = () => {
      if (draft.trim() === '') return;
      setDraft(null);
      onResend(draft.trim());
    };
    return (
      <div class="message message-user editing">
        <TextArea
          class="edit-box"
          label={t.editLabel}
          value={draft}
          focused
          onInput={setDraft}
          onEnter={submit}
          onEscape={() => setDraft(null)}
        />
        <div class="edit-actions">
          <button type="button" class="text-button" onClick={() => setDraft(null)}>
            {t.cancel}
          </button>
          <button
            type="button"
            class="text-button primary"
            data-action="resend"
            disabled={busy}
            onClick={submit}
          >
            {t.editSend}
          </button>
        </div>
      </div>
    );
  }
  return (
    <div class="message message-user" data-role="user">
      <span class="offscreen">{t.you}: </span>
      <div class="bubble" lang={languageOf(message.content)}>
        {message.content}
      </div>
      <div class="actions">
        <CopyButton text={message.content} onFailed={onCopyFailed} />
        <ActionButton
          icon="edit"
          label={t.edit}
          action="edit"
          disabled={busy}
          onClick={() => setDraft(message.content)}
        />
      </div>
    </div>
  );
}

function statLine({ tokens, exact, tokensPerSecond }: Stats, t: Strings): string {
  const parts = [fill(exact ? t.statTokens : t.statTokensAbout, { n: tokens })];
  if (tokensPerSecond !== null) {
    const digits = tokensPerSecond < 100 ? 1 : 0;
    parts.push(fill(t.statRate, { n: tokensPerSecond.toFixed(digits) }));
  }
  return parts.join(t.comma);
}

const kNoCitations: readonly Citation[] = [];

interface AnswerProps {
  message: Message;
  question: string;
  busy: boolean;
  onRegenerate(): void;
  onCopyFailed(): void;
}

export function Answer({ message, question, busy, onRegenerate, onCopyFailed }: AnswerProps) {
  const t = useStrings();
  const streaming = message.state === 'streaming';
  // Where the marks stand is known at the end, so until then they are text.
  const citations = (!streaming && message.citations) || kNoCitations;
  const html = useMemo(
    () => renderMarkdown(message.content, verseHint(question, streaming), citations),
    [message.content, question, streaming, citations],
  );
  return (
    <div class="message message-answer" data-role="assistant" data-state={message.state ?? 'done'}>
      <Seal />
      <div class="answer">
        <span class="offscreen">{t.name}: </span>
        {streaming && message.content === '' ? (
          <div class="prose streaming" aria-label={t.thinking}>
            <p />
          </div>
        ) : (
          <Prose
            html={html}
            lang={languageOf(message.content)}
            streaming={streaming}
            citations={citations}
          />
        )}
        {!streaming && message.grounding && (
          <LookUpLine grounding={message.grounding} found={citations.length} />
        )}
        {message.state === 'stopped' && <p class="note">{t.stopped}</p>}
        {message.state === 'failed' && <p class="note note-error">{t.failed}</p>}
        {message.finish === 'length' && <p class="note">{t.lengthReached}</p>}
        {!streaming && (
          <div class="actions">
            {message.content !== '' && (
              <CopyButton text={message.content} onFailed={onCopyFailed} />
            )}
            <ActionButton
              icon="regenerate"
              label={message.content === '' ? t.retry : t.regenerate}
              action="regenerate"
              disabled={busy}
              onClick={onRegenerate}
            />
            {message.stats && message.stats.tokens > 0 && (
              <span class="stats">{statLine(message.stats, t)}</span>
            )}
          </div>
        )}
      </div>
    </div>
  );
}
