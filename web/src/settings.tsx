import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { useStrings } from './context';
import type { GraphInfo } from './grounding';
import { Icon } from './icons';
import { LookUpSetting } from './look_up_setting';
import { fill } from './strings';
import { defaultSettings, inRange, ranges, type NumberSetting, type Settings } from './store';

interface NumberProps {
  name: NumberSetting;
  label: string;
  help: string;
  placeholder: string;
  value: number | null;
  onChange(value: number | null): void;
}

/** Empty means null. A number out of range is kept in the box, marked, and not used. */
function NumberField({ name, label, help, placeholder, value, onChange }: NumberProps) {
  const t = useStrings();
  const id = useId();
  const [text, setText] = useState(value === null ? '' : String(value));
  const parsed = text.trim() === '' ? null : Number(text);
  const bad = parsed !== null && !inRange(name, parsed);
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="text"
        inputMode={ranges[name].integer ? 'numeric' : 'decimal'}
        autocomplete="off"
        value={text}
        placeholder={placeholder}
        aria-invalid={bad}
        aria-describedby={`${id}-help`}
        onInput={(event) => {
          const typed = event.currentTarget.value;
          const number = typed.trim() === '' ? null : Number(typed);
          setText(typed);
          onChange(inRange(name, number) ? number : null);
        }}
      />
      <small id={`${id}-help`} class={bad ? 'bad' : undefined}>
        {bad ? fill(t.rangeError, { min: ranges[name].min, max: ranges[name].max }) : help}
      </small>
    </div>
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange(value: T): void;
}

function Choice<T extends string>({ label, value, options, onChange }: ChoiceProps<T>) {
  const name = useId();
  return (
    <fieldset class="choice">
      <legend>{label}</legend>
      <div class="segments">
        {options.map(([option, text]) => (
          <label key={option}>
            <input
              type="radio"
              name={name}
              value={option}
              checked={option === value}
              onChange={() => onChange(option)}
            />
            <span>{text}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

interface Props {
  settings: Settings;
  graph: GraphInfo | null;
  onChange(settings: Settings): void;
  onClearData(): void;
  onClose(): void;
}

export function SettingsDialog({ settings, graph, onChange, onClearData, onClose }: Props) {
  const t = useStrings();
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  const promptId = useId();
  // A new key makes the number boxes anew: a bad number lives in its box only.
  const [resets, setResets] = useState(0);
  useEffect(() => dialog.current?.showModal(), []);
  const set = (change: Partial<Settings>) => onChange({ ...settings, ...change });
  const number = (name: NumberSetting, placeholder: string) => (
    <NumberField
      key={resets}
      name={name}
      label={t[name]}
      help={t[`${name}Help`]}
      placeholder={placeholder}
      value={settings[name]}
      onChange={(value) => set({ [name]: value })}
    />
  );
  return (
    <dialog
      ref={dialog}
      class="settings"
      aria-labelledby={titleId}
      onClose={onClose}
      onClick={(event) => {
        if (event.target === dialog.current) dialog.current?.close();
      }}
    >
      <div class="settings-body">
        <header>
          <h2 id={titleId}>{t.settings}</h2>
          <button
            type="button"
            class="icon-button"
            aria-label={t.close}
            onClick={() => dialog.current?.close()}
          >
            <Icon name="close" />
          </button>
        </header>
        <Choice
          label={t.appearance}
          value={settings.theme}
          options={[
            ['auto', t.auto],
            ['light', t.light],
            ['dark', t.dark],
          ]}
          onChange={(theme) => set({ theme })}
        />
        <Choice
          label={t.language}
          value={settings.language}
          options={[
            ['auto', t.auto],
            ['zh-CN', '中文'],
            ['en', 'English'],
          ]}
          onChange={(language) => set({ language })}
        />
        {graph && (
          <LookUpSetting
            graph={graph}
            value={settings.grounding}
            onChange={(grounding) => set({ grounding })}
          />
        )}
        <div class="section-head">
          <h3>{t.sampling}</h3>
          <button
            type="button"
            class="text-button"
            onClick={() => {
              const { theme, language, grounding } = settings;
              onChange({ ...defaultSettings, theme, language, grounding });
              setResets(resets + 1);
            }}
          >
            {t.resetSampling}
          </button>
        </div>
        <div class="field-grid">
          {number('temperature', t.modelDefault)}
          {number('topP', t.modelDefault)}
          {number('maxTokens', t.modelDefault)}
          {number('seed', t.random)}
        </div>
        <div class="field">
          <label for={promptId}>{t.systemPrompt}</label>
          <textarea
            id={promptId}
            rows={3}
            value={settings.systemPrompt}
            aria-describedby={`${promptId}-help`}
            onInput={(event) => set({ systemPrompt: event.currentTarget.value })}
          />
          <small id={`${promptId}-help`}>{t.systemPromptHelp}</small>
        </div>
        <footer>
          <small>{t.clearDataHelp}</small>
          <button
            type="button"
            class="text-button danger"
            data-action="clear"
            onClick={() => {
              onClearData();
              dialog.current?.close();
            }}
          >
            {t.clearData}
          </button>
        </footer>
      </div>
    </dialog>
  );
}
