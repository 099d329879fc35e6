import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import { dictionaries, type Strings } from './strings';

const StringsContext = createContext<Strings>(dictionaries.en);

export const StringsProvider = StringsContext.Provider;

export function useStrings(): Strings {
  return useContext(StringsContext);
}
