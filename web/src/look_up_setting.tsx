import { useId } from 'preact/hooks';
import { useStrings } from './context';
import { groundingModes, type GraphInfo, type GroundingMode } from './grounding';
import { fill } from './strings';

interface Props {
  graph: GraphInfo;
  value: GroundingMode | null;
  onChange(value: GroundingMode | null): void;
}

/** When answers look facts up. Null leaves it to the server. */
export function LookUpSetting({ graph, value, onChange }: Props) {
  const t = useStrings();
  const name = useId();
  const labels: Record<GroundingMode, [string, string]> = {
    auto: [t.lookUpAuto, t.lookUpAutoHelp],
    always: [t.lookUpAlways, t.lookUpAlwaysHelp],
    strict: [t.lookUpStrict, t.lookUpStrictHelp],
    off: [t.lookUpOff, t.lookUpOffHelp],
  };
  const byDefault = graph.mode
    ? fill(t.lookUpDefaultHelp, { mode: labels[graph.mode][0] })
    : t.lookUpDefaultUnknown;
  const options: [GroundingMode | null, string, string][] = [
    [null, t.lookUpDefault, byDefault],
    ...groundingModes.map((mode): [GroundingMode, string, string] => [mode, ...labels[mode]]),
  ];
  return (
    <fieldset class="look-ups" aria-describedby={`${name}-help`}>
      <legend>{t.lookUps}</legend>
      <small id={`${name}-help`}>
        {fill(t.lookUpsHelp, { n: graph.facts.toLocaleString('en') })}
      </small>
      {options.map(([mode, label, help]) => (
        <label key={mode}>
          <input
            type="radio"
            name={name}
            value={`look-up-${mode ?? 'default'}`}
            checked={mode === value}
            onChange={() => onChange(mode)}
          />
          <span>{label}</span>
          <small>{help}</small>
        </label>
      ))}
    </fieldset>
  );
}
