"""The tokenizer: lower-cased words, one token a Chinese character, written as a plain `tokenizer.json`.

`python vocabulary.py OUT.json` writes it; pad 0, `</s>` 1 (appended), `<unk>` 2.
"""

import sys

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from captions import every_text
from text import TEXT_LEN

VOCABULARY_SIZE = 384  # a few rows stay unused: a round table size


def build():
    normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    seen = {}
    for text in every_text():
        plain = normalizer.normalize_str(text.replace("{", " ").replace("}", " "))
        for word, _ in splitter.pre_tokenize_str(plain):
            seen[word] = seen.get(word, 0) + 1
    words = ["<pad>", "</s>", "<unk>"] + sorted(w for w in seen if w not in ("<", ">"))
    assert len(words) <= VOCABULARY_SIZE, len(words)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>",
                                                             special_tokens=[("</s>", 1)])
    return tokenizer


def encode(tokenizer, texts):
    """`[n, 64]` long, 0 = padding; the end token survives truncation."""
    rows = []
    for e in tokenizer.encode_batch(list(texts)):
        ids = e.ids[:-1][:TEXT_LEN - 1] + [1]
        rows.append(ids + [0] * (TEXT_LEN - len(ids)))
    return torch.tensor(rows)


if __name__ == "__main__":
    made = build()
    made.save(sys.argv[1])
    print(made.get_vocab_size(), "words")
