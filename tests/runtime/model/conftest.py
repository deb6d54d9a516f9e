"""Small tokenizers trained here, and the folders that real models come in."""

import json
import random

import pytest
import tokenizers
from tokenizers import decoders, normalizers, pre_tokenizers, processors, trainers

from sglc.runtime.model.pretokens import LLAMA3_PATTERN, QWEN2_PATTERN

WORDS = """the of and to in a is that it was for on are as with his they at be this have from or
one had by word but not what all were we when your can said there use an each which she do how
their if will up other about out many then them these so some her would make like him into time has
look two more write go see number no way could people my than first water been call who oil its now
find long down day did get come made may part don't it's we're I'll he'd you've naïve café über
日本語 の テキスト 東京 привет мир 안녕 세계 مرحبا 12 345 6789 3.14 f(x) = [1, 2] {"a": null}"""


def corpus(num_lines=600):
    draw, words = random.Random(11), WORDS.split()
    for _ in range(num_lines):
        chosen = [draw.choice(words) for _ in range(draw.randint(3, 14))]
        yield draw.choice(["", " ", "  ", "\t", "\n"]).join(("", " ".join(chosen))) + draw.choice(
            [".", "!", "?\n", "\n\n", "...", " :)"]
        )


def split(pattern):
    return pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")


CUTS = {
    "gpt2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    "smollm": lambda: pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    ),
    "llama3": lambda: pre_tokenizers.Sequence(
        [split(LLAMA3_PATTERN), pre_tokenizers.ByteLevel(False, use_regex=False)]
    ),
    "qwen2": lambda: pre_tokenizers.Sequence(
        [split(QWEN2_PATTERN), pre_tokenizers.ByteLevel(False, use_regex=False)]
    ),
}


@pytest.fixture(scope="session")
def train_byte_level():
    """(cut name) -> a trained reference tokenizer, with control tokens as models have them."""
    trained = {}

    def train(cut):
        if cut not in trained:
            tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(ignore_merges=cut == "llama3"))
            tokenizer.normalizer = normalizers.NFC() if cut == "qwen2" else None
            tokenizer.pre_tokenizer = CUTS[cut]()
            tokenizer.decoder = decoders.ByteLevel()
            tokenizer.train_from_iterator(
                corpus(),
                trainers.BpeTrainer(
                    vocab_size=900,
                    special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
                    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                    show_progress=False,
                ),
            )
            tokenizer.add_tokens([tokenizers.AddedToken("<think>", normalized=False)])
            trained[cut] = tokenizer
        return trained[cut]

    return train


@pytest.fixture(scope="session")
def sentencepiece_file(tmp_path_factory):
    """A trained SentencePiece BPE model with byte fallback, as Llama's is."""
    import sentencepiece

    folder = tmp_path_factory.mktemp("sentencepiece")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=corpus(),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=700,
        byte_fallback=True,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        character_coverage=0.999,
        minloglevel=2,
    )
    return folder / "tokenizer.model"


@pytest.fixture(scope="session")
def llama_metadata(sentencepiece_file):
    """The metadata that a GGUF of the SentencePiece model has."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(str(sentencepiece_file))
    size = processor.get_piece_size()
    kinds = [
        2
        if processor.is_unknown(id)
        else 3
        if processor.is_control(id)
        else 6
        if processor.is_byte(id)
        else 1
        for id in range(size)
    ]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [processor.id_to_piece(id) for id in range(size)],
        "tokenizer.ggml.scores": [processor.get_score(id) for id in range(size)],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.bos_token_id": processor.bos_id(),
        "tokenizer.ggml.eos_token_id": processor.eos_id(),
    }


@pytest.fixture(scope="session")
def write_folder(tmp_path_factory):
    """(reference tokenizer, settings, template) -> a folder in Hugging Face layout, no weights."""

    def write(tokenizer, settings=None, template=None, generation=None):
        folder = tmp_path_factory.mktemp("model")
        tokenizer.save(str(folder / "tokenizer.json"))
        config = {
            "architectures": ["LlamaForCausalLM"],
            "vocab_size": tokenizer.get_vocab_size() + 5,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 256,
        }
        files = {"config.json": config, "tokenizer_config.json": settings or {}}
        if generation:
            files["generation_config.json"] = generation
        for name, content in files.items():
            (folder / name).write_text(json.dumps(content))
        if template:
            (folder / "chat_template.jinja").write_text(template)
        return folder

    return write


@pytest.fixture(scope="session")
def with_bos():
    """(tokenizer, name) -> the tokenizer with a template that puts the token before a text."""

    def add(tokenizer, name):
        id = tokenizer.token_to_id(name)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{name} $A", pair=f"{name} $A $B", special_tokens=[(name, id)]
        )
        return tokenizer

    return add
