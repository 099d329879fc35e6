/** Everything the page says, in both languages. `{name}` is a placeholder; see fill(). */

export type Language = 'zh-CN' | 'en';

const zh = {
  name: '深红',
  tagline: '一个用两个处理器核训练的小模型，会写一点诗。',
  modelNote: '小模型常会出错，史实请另行查证。',
  languageSwitch: 'English',
  languageSwitchLabel: '切换到英文界面',
  skipToInput: '跳到输入框',

  statusConnecting: '正在连接…',
  statusLoading: '模型正在加载，好了就能提问。',
  statusUnreachable: '连不上服务器。请确认 shenhong serve 正在运行；恢复后本页会自动连上。',
  statusReady: '就绪',

  newChat: '新对话',
  newChatDone: '已开始新对话。',
  undo: '撤销',
  close: '关闭',
  suggestionsLabel: '可以这样问',
  logLabel: '对话',
  you: '你',

  inputLabel: '输入消息',
  inputPlaceholder: '出个题目，或问一句诗…',
  send: '发送',
  stop: '停止',
  keysHint: 'Enter 发送，Shift+Enter 换行，Esc 停止',
  toBottom: '回到底部',

  copy: '复制',
  copied: '已复制',
  copyFailed: '浏览器不允许复制，请选中文字后手动复制。',
  edit: '修改',
  editLabel: '修改这条消息',
  editSend: '重新发送',
  cancel: '取消',
  regenerate: '重新生成',
  retry: '重试',

  thinking: '正在生成',
  stopped: '已停止',
  failed: '没有答完',
  lengthReached: '到了长度上限，可在设置里调大“最多词元”。',
  statTokens: '{n} 词元',
  statTokensAbout: '约 {n} 词元',
  statRate: '{n} 词元/秒',
  comma: '，',

  settings: '设置',
  appearance: '外观',
  language: '语言',
  auto: '自动',
  light: '浅色',
  dark: '深色',
  sampling: '生成',
  temperature: '温度',
  temperatureHelp: '越高越多变，0 为总取最可能的词。',
  topP: 'Top-p',
  topPHelp: '只从累计概率不超过它的词里选。',
  maxTokens: '最多词元',
  maxTokensHelp: '一次回答的长度上限。',
  seed: '种子',
  seedHelp: '同一种子、同样设置，答案相同。',
  modelDefault: '模型默认',
  random: '随机',
  systemPrompt: '系统提示',
  systemPromptHelp: '放在对话最前面，告诉模型该怎样回答。',
  rangeError: '应在 {min} 与 {max} 之间，暂不生效。',
  resetSampling: '恢复默认',
  clearData: '清除本机记录',
  clearDataHelp: '对话和设置只存在这个浏览器里。',
  clearDone: '已清除对话和设置。',

  errorNetwork: '连不上服务器',
  errorNetworkFix: '请确认 shenhong serve 正在运行、地址没有变，然后重试。',
  errorLoading: '模型还没准备好',
  errorLoadingFix: '请稍等几秒再试。',
  errorBusy: '服务器正忙',
  errorBusyFix: '请过一会儿再试。',
  errorBusyWait: '请过 {n} 秒再试。',
  errorContext: '对话太长，超出模型的上下文',
  errorContextNumbers:
    '需要 {asked} 词元，上限 {limit} 词元。请开新对话、缩短消息，或在设置里调小“最多词元”。',
  errorContextFix: '请开新对话、缩短消息，或在设置里调小“最多词元”。',
  errorTooLarge: '消息太大',
  errorTooLargeFix: '请缩短后再发。',
  errorKey: '服务器要求密钥',
  errorKeyFix: '本页不带密钥；请启动一个不要密钥的服务，或改用 API 客户端。',
  errorCut: '回答中途断了',
  errorCutFix: '已收到的部分保留在上面，可点“重新生成”。',
  errorRequest: '服务器不接受这个请求',
  errorRequestFix: '请检查设置里的数值后重试。',
  errorServer: '服务器出错了',
  errorServerFix: '请重试；若仍出错，请看服务器的日志。',
  errorStorage: '对话没能存下来',
  errorStorageFix: '浏览器的存储已满或被关闭；关掉本页后对话会丢失。',
};

export type Strings = Record<keyof typeof zh, string>;

const en: Strings = {
  name: 'Shenhong',
  tagline: 'A small model trained on two processor cores that writes a little poetry.',
  modelNote: 'A small model is often wrong: check its facts elsewhere.',
  languageSwitch: '中文',
  languageSwitchLabel: 'Switch the page to Chinese',
  skipToInput: 'Skip to the message box',

  statusConnecting: 'Connecting…',
  statusLoading: 'The model is loading. You can ask as soon as it is ready.',
  statusUnreachable:
    'The server cannot be reached. Check that shenhong serve is running; this page reconnects by itself.',
  statusReady: 'Ready',

  newChat: 'New chat',
  newChatDone: 'Started a new chat.',
  undo: 'Undo',
  close: 'Close',
  suggestionsLabel: 'Things to ask',
  logLabel: 'Conversation',
  you: 'You',

  inputLabel: 'Message',
  inputPlaceholder: 'Give a topic or a line…',
  send: 'Send',
  stop: 'Stop',
  keysHint: 'Enter sends, Shift+Enter starts a line, Esc stops',
  toBottom: 'To the newest message',

  copy: 'Copy',
  copied: 'Copied',
  copyFailed: 'The browser does not allow copying: select the text and copy it by hand.',
  edit: 'Edit',
  editLabel: 'Edit this message',
  editSend: 'Send again',
  cancel: 'Cancel',
  regenerate: 'Regenerate',
  retry: 'Try again',

  thinking: 'Writing',
  stopped: 'Stopped',
  failed: 'Not finished',
  lengthReached: 'The length limit was reached: raise “Most tokens” in the settings.',
  statTokens: '{n} tokens',
  statTokensAbout: 'about {n} tokens',
  statRate: '{n} tokens/s',
  comma: ', ',

  settings: 'Settings',
  appearance: 'Appearance',
  language: 'Language',
  auto: 'Automatic',
  light: 'Light',
  dark: 'Dark',
  sampling: 'Generation',
  temperature: 'Temperature',
  temperatureHelp: 'Higher is more varied; 0 always takes the likeliest token.',
  topP: 'Top-p',
  topPHelp: 'Choose only among the tokens that hold this much probability together.',
  maxTokens: 'Most tokens',
  maxTokensHelp: 'The longest answer.',
  seed: 'Seed',
  seedHelp: 'The same seed and settings give the same answer.',
  modelDefault: 'default',
  random: 'random',
  systemPrompt: 'System prompt',
  systemPromptHelp: 'Put before the conversation: how the model should answer.',
  rangeError: 'Must lie between {min} and {max}; not used as it is.',
  resetSampling: 'Restore defaults',
  clearData: 'Clear saved data',
  clearDataHelp: 'The chat and the settings are kept in this browser only.',
  clearDone: 'The chat and the settings were cleared.',

  errorNetwork: 'The server cannot be reached',
  errorNetworkFix: 'Check that shenhong serve is running at this address, then try again.',
  errorLoading: 'The model is not ready yet',
  errorLoadingFix: 'Try again in a few seconds.',
  errorBusy: 'The server is busy',
  errorBusyFix: 'Try again in a moment.',
  errorBusyWait: 'Try again in {n} seconds.',
  errorContext: 'The conversation is longer than the model’s context',
  errorContextNumbers:
    'It needs {asked} tokens; the limit is {limit}. Start a new chat, shorten the message, or lower “Most tokens” in the settings.',
  errorContextFix: 'Start a new chat, shorten the message, or lower “Most tokens” in the settings.',
  errorTooLarge: 'The message is too large',
  errorTooLargeFix: 'Shorten it and send again.',
  errorKey: 'The server asks for a key',
  errorKeyFix: 'This page sends none: serve without a key, or use an API client.',
  errorCut: 'The answer broke off',
  errorCutFix: 'What came is kept above; “Regenerate” asks again.',
  errorRequest: 'The server did not accept the request',
  errorRequestFix: 'Check the numbers in the settings and try again.',
  errorServer: 'The server failed',
  errorServerFix: 'Try again; if it fails again, look at the server’s log.',
  errorStorage: 'The chat could not be saved',
  errorStorageFix: 'The browser’s storage is full or off: the chat is lost when this page closes.',
};

export const dictionaries: Record<Language, Strings> = { 'zh-CN': zh, en };

export function detectLanguage(browser: string): Language {
  return /^zh\b/i.test(browser) ? 'zh-CN' : 'en';
}

/** The language of a text by its script, for the `lang` attribute: it picks the right faces. */
export function languageOf(text: string): Language {
  return /\p{Script=Han}/u.test(text) ? 'zh-CN' : 'en';
}

export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (whole, key: string) => String(values[key] ?? whole));
}

/** Same in both languages: what the model is good at is mostly Chinese. */
export const suggestions = [
  '写一首五言绝句，题目是春夜',
  '以“明月”为题写一首七言绝句',
  '学李白的风格写一首诗',
  '“床前明月光”是谁写的？',
  '“守株待兔”是什么意思？',
  'Write a five-character quatrain about the moon',
];
