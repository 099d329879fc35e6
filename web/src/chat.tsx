import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from './api';
import { Composer } from './composer';
import { StringsProvider } from './context';
import { questionBefore } from './conversation';
import { explain } from './errors';
import { Header } from './header';
import { Icon } from './icons';
import { Answer, UserMessage } from './message';
import { SettingsDialog } from './settings';
import { useStatus } from './status';
import { defaultSettings, forget, kSettingsKey, load, parseSettings, save } from './store';
import { detectLanguage, dictionaries } from './strings';
import { useTheme } from './theme';
import { Toasts, useToasts } from './toast';
import { useChat } from './use_chat';
import { useStickToBottom } from './use_stick_to_bottom';
import { Welcome } from './welcome';

export function ChatPage() {
  const [settings, setSettings] = useState(() => parseSettings(load(kSettingsKey)));
  const [settingsOpen, setSettingsOpen] = useState(false);
  const [draft, setDraft] = useState('');
  const [focusKey, setFocusKey] = useState(0);
  const settingsButton = useRef<HTMLButtonElement>(null);

  const language =
    settings.language === 'auto' ? detectLanguage(navigator.language) : settings.language;
  const t = dictionaries[language];
  useTheme(settings.theme);
  useLayoutEffect(() => {
    document.documentElement.lang = language;
    document.title = t.name;
  }, [language]);

  const [status, checkStatus] = useStatus();
  const { toasts, add, close, closeAll } = useToasts();
  const chat = useChat({
    settings,
    model: status.model,
    hasGraph: status.graph !== null,
    onError: (error) => {
      const { offersNewChat, ...words } = explain(error, t);
      const action = offersNewChat ? { label: t.newChat, run: newChat } : undefined;
      add({ kind: 'error', ...words, ...(action && { action }) });
      if (error instanceof ApiError && (error.code === 'network' || error.status === 503))
        checkStatus();
    },
    onStorageFull: () => add({ kind: 'error', title: t.errorStorage, remedy: t.errorStorageFix }),
  });
  const { scroller, atBottom, toBottom } = useStickToBottom(chat.messages);
  const ready = status.health === 'ready';

  const changeSettings = (next: typeof settings) => {
    setSettings(next);
    save(kSettingsKey, next);
  };
  const begin = (ask: () => void) => {
    closeAll();
    ask();
    toBottom();
  };
  const focusComposer = () => setFocusKey((n) => n + 1);
  const send = (text: string) => {
    setDraft('');
    begin(() => chat.send(text));
    focusComposer();
  };

  function newChat() {
    const old = chat.clear();
    closeAll();
    focusComposer();
    if (old.length === 0) return;
    add({
      kind: 'info',
      title: t.newChatDone,
      action: { label: t.undo, run: () => chat.restore(old) },
    });
  }

  const clearData = () => {
    chat.clear();
    setDraft('');
    setSettings(defaultSettings);
    forget(kSettingsKey);
    add({ kind: 'info', title: t.clearDone });
  };
  const copyFailed = () => add({ kind: 'error', title: t.copyFailed });

  useEffect(() => {
    if (!chat.busy) return;
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.isComposing || document.querySelector('dialog[open]'))
        return;
      chat.stop();
    };
    addEventListener('keydown', onKeyDown);
    return () => removeEventListener('keydown', onKeyDown);
  }, [chat.busy]);

  return (
    <StringsProvider value={t}>
      <a
        class="skip"
        href="#input"
        onClick={(event) => {
          event.preventDefault();
          focusComposer();
        }}
      >
        {t.skipToInput}
      </a>
      <Header
        status={status}
        settingsButton={settingsButton}
        onLanguage={() =>
          changeSettings({ ...settings, language: language === 'en' ? 'zh-CN' : 'en' })
        }
        onNewChat={newChat}
        onSettings={() => setSettingsOpen(true)}
      />
      <main ref={scroller}>
        {chat.messages.length === 0 ? (
          <Welcome ready={ready} hasGraph={status.graph !== null} onPick={send} />
        ) : (
          <div
            class="log"
            role="log"
            aria-live="polite"
            aria-busy={chat.busy}
            aria-label={t.logLabel}
          >
            {chat.messages.map((message, i) =>
              message.role === 'user' ? (
                <UserMessage
                  key={i}
                  message={message}
                  busy={chat.busy || !ready}
                  onResend={(text) => begin(() => chat.resend(i, text))}
                  onCopyFailed={copyFailed}
                />
              ) : (
                <Answer
                  key={i}
                  message={message}
                  question={questionBefore(chat.messages, i)}
                  busy={chat.busy || !ready}
                  onRegenerate={() => begin(() => chat.regenerate(i))}
                  onCopyFailed={copyFailed}
                />
              ),
            )}
          </div>
        )}
      </main>
      <div class="dock">
        {!atBottom && (
          <button
            type="button"
            class="icon-button to-bottom"
            aria-label={t.toBottom}
            onClick={toBottom}
          >
            <Icon name="down" />
          </button>
        )}
        <Toasts toasts={toasts} close={close} />
        <Composer
          draft={draft}
          setDraft={setDraft}
          busy={chat.busy}
          ready={ready}
          focusKey={focusKey}
          onSend={send}
          onStop={chat.stop}
        />
      </div>
      {settingsOpen && (
        <SettingsDialog
          settings={settings}
          graph={status.graph}
          onChange={changeSettings}
          onClearData={clearData}
          onClose={() => {
            setSettingsOpen(false);
            settingsButton.current?.focus();
          }}
        />
      )}
    </StringsProvider>
  );
}
