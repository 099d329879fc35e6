// Writes src/data/rhyme_table.inc: which characters rhyme with each other in classical verse.
//
//   npm install --prefix DIR tshet-uinh@0.15.4 opencc-js@1.4.2 chinese-poetry@2.0.1
//   node setup/rhyme_table.mjs DIR > src/data/rhyme_table.inc
//
// Level tone: the 30 rhymes of 平水韵, which regulated verse keeps. Oblique tones: the 14 groups, and
// entering tone: the 5 groups of 词林正韵, which old-style quatrains and 词 keep. Both merge the 206
// rhymes of 广韵 (1008), whose entries tshet-uinh holds, so the readings come from there. Simplified
// forms stand beside the traditional ones (OpenCC).
//
// 广韵 spells some characters otherwise (閒 for 間) or lacks a reading (忘 in level tone). Those come
// from the regulated poems of 唐 and 宋: a character that stands at least 5 times, and in a fifth of
// the cases where the other rhyme words of its poem agree on one group, in a group that it is not in.
// Poems whose verse has an FNV-1a hash divisible by 10 are left out. Of those 22,726 绝句 and 律诗, 94.1 %
// rhyme by the table (七绝 96.0, 五律 93.7, 七律 92.5, 五绝 92.9 %; the rest: neighbouring rhymes 3.6 %, old-style
// verse that changes its rhyme 1.4 %, unknown characters 0.6 %); of rhyme words drawn at random from the
// same poems, 5.5 % of the pairs and 0.04 % of the fours do.
import { createRequire } from 'node:module';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = process.argv[2];
if (!root) {
  console.error('usage: rhyme_table.mjs DIR  (DIR holds node_modules; see the head of this file)');
  process.exit(2);
}
const modules = resolve(root, 'node_modules');
const require = createRequire(join(modules, 'x'));
const { 資料 } = require('tshet-uinh');
const simplify = require('opencc-js').Converter({ from: 't', to: 'cn' });

const LEVEL = {
  上平一东: '東', 上平二冬: '冬鍾', 上平三江: '江', 上平四支: '支脂之', 上平五微: '微', 上平六鱼: '魚',
  上平七虞: '虞模', 上平八齐: '齊', 上平九佳: '佳皆', 上平十灰: '灰咍', 上平十一真: '真諄臻',
  上平十二文: '文欣', 上平十三元: '元魂痕', 上平十四寒: '寒桓', 上平十五删: '刪山', 下平一先: '先仙',
  下平二萧: '蕭宵', 下平三肴: '肴', 下平四豪: '豪', 下平五歌: '歌戈', 下平六麻: '麻', 下平七阳: '陽唐',
  下平八庚: '庚耕清', 下平九青: '青', 下平十蒸: '蒸登', 下平十一尤: '尤侯幽', 下平十二侵: '侵',
  下平十三覃: '覃談', 下平十四盐: '鹽添嚴', 下平十五咸: '咸銜凡',
};
const OBLIQUE = {
  第一部仄声: '董腫送宋用', 第二部仄声: '講養蕩絳漾宕', 第三部仄声: '紙旨止尾薺賄寘至志未霽祭泰隊廢',
  第四部仄声: '語麌姥御遇暮', 第五部仄声: '蟹駭海泰卦怪夬代', 第六部仄声: '軫準吻隱混很震稕問焮慁恨',
  第七部仄声: '阮旱緩潸產銑獮願翰換諫襇霰線', 第八部仄声: '篠小巧晧嘯笑效号', 第九部仄声: '哿果箇過',
  第十部仄声: '馬卦禡', 第十一部仄声: '梗耿靜迥拯等映諍勁徑證嶝', 第十二部仄声: '有厚黝宥候幼',
  第十三部仄声: '寑沁', 第十四部仄声: '感敢琰忝儼豏檻范勘闞豔㮇釅陷鑑梵', 第十五部入声: '屋沃燭',
  第十六部入声: '覺藥鐸', 第十七部入声: '質術櫛陌麥昔錫職德緝', 第十八部入声: '物迄月沒曷末黠鎋屑薛葉怗業',
  第十九部入声: '合盍洽狎乏',
};
const names = [...Object.keys(LEVEL), ...Object.keys(OBLIQUE)];
const groupsOf = new Map(); // rhyme of 广韵 -> its groups
[...Object.values(LEVEL), ...Object.values(OBLIQUE)].forEach((rhymes, group) => {
  for (const rhyme of rhymes) groupsOf.set(rhyme, [...(groupsOf.get(rhyme) ?? []), group]);
});

const table = new Map(); // character -> set of groups
const put = (character, group) => {
  const code = character.codePointAt(0);
  if (code < 0x4e00 || code > 0x9fff) return; // verse hardly uses what lies outside
  if (!table.has(character)) table.set(character, new Set());
  table.get(character).add(group);
};
for (const entry of 資料.廣韻.iter條目()) {
  for (const group of groupsOf.get(entry.來源.韻目)) {
    put(entry.字頭, group);
    put(simplify(entry.字頭), group);
  }
}

// The rhyme words of a 绝句 or 律诗, or undefined.
function rhymeWords(paragraphs) {
  const lines = paragraphs.join('').split(/[，。？！；：、\s]+/).filter(Boolean).map((line) => [...line]);
  if (lines.length !== 8 || ![5, 7].includes(lines[0].length)) return undefined; // 4 lines: no majority
  if (lines.some((line) => line.length !== lines[0].length)) return undefined;
  const feet = lines.filter((_, i) => i % 2).map((line) => line.at(-1));
  return new Set(feet).size === feet.length ? feet : undefined;
}
function heldOut(text) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & (2n ** 64n - 1n);
  return hash % 10n === 0n;
}

const agreed = new Map(); // character -> poems where the other rhyme words agree on one group
const seen = new Map(); // character -> group -> poems
const folder = join(modules, 'chinese-poetry/dist/quantangshi');
for (const file of readdirSync(folder).filter((name) => /^poet\.(tang|song)\.\d+\.json$/.test(name)).sort()) {
  for (const poem of JSON.parse(readFileSync(join(folder, file)))) {
    const paragraphs = poem.paragraphs.map(simplify);
    const feet = rhymeWords(paragraphs);
    if (!feet || heldOut(paragraphs.join(''))) continue;
    feet.forEach((foot, i) => {
      const others = feet.filter((_, j) => j !== i).map((other) => table.get(other) ?? new Set());
      const shared = [...others[0]].filter((group) => others.every((set) => set.has(group)));
      if (shared.length !== 1) return;
      agreed.set(foot, (agreed.get(foot) ?? 0) + 1);
      if (!seen.has(foot)) seen.set(foot, new Map());
      seen.get(foot).set(shared[0], (seen.get(foot).get(shared[0]) ?? 0) + 1);
    });
  }
}
let learnt = 0;
for (const [character, groups] of seen) {
  for (const [group, poems] of groups) {
    if (table.get(character)?.has(group) || poems < 5 || poems * 5 < agreed.get(character)) continue;
    put(character, group);
    ++learnt;
  }
}

console.log('// Made by setup/rhyme_table.mjs; the groups, their order and their sources are told there.');
names.forEach((name, group) => {
  const characters = [...table].filter(([, groups]) => groups.has(group)).map(([character]) => character);
  console.log(`{"${name}",\n "${characters.sort().join('')}"},`);
});
console.error(`${table.size} characters, ${names.length} groups, ${learnt} readings learnt from poems`);
