import type { RefObject } from 'preact';
import { useStrings } from './context';
import { Icon, Seal } from './icons';
import type { Status } from './status';

interface Props {
  status: Status;
  settingsButton: RefObject<HTMLButtonElement | null>;
  onLanguage(): void;
  onNewChat(): void;
  onSettings(): void;
}

export function Header({ status, settingsButton, onLanguage, onNewChat, onSettings }: Props) {
  const t = useStrings();
  const words = {
    connecting: t.statusConnecting,
    loading: t.statusLoading,
    unreachable: t.statusUnreachable,
    ready: '',
  }[status.health];
  return (
    <header class="bar">
      <div class="bar-row">
        <Seal />
        <div class="brand">
          <strong>{t.name}</strong>
          <span class="model" title={status.model}>
            <i class={`dot dot-${status.health}`} />
            {status.health === 'ready' ? status.model || t.statusReady : '…'}
          </span>
        </div>
        <button
          type="button"
          class="text-button"
          data-action="language"
          aria-label={t.languageSwitchLabel}
          onClick={onLanguage}
        >
          {t.languageSwitch}
        </button>
        <button
          type="button"
          class="icon-button"
          data-action="new"
          aria-label={t.newChat}
          title={t.newChat}
          onClick={onNewChat}
        >
          <Icon name="add" />
        </button>
        <button
          ref={settingsButton}
          type="button"
          class="icon-button"
          data-action="settings"
          aria-label={t.settings}
          title={t.settings}
          onClick={onSettings}
        >
          <Icon name="settings" />
        </button>
      </div>
      <p class={`status status-${status.health}`} role="status">
        {words}
      </p>
    </header>
  );
}
