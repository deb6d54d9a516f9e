"""Our tokenizers against the reference libraries, over random text with control look-alikes."""

import json

import pytest
import sentencepiece
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.gguf_vocabulary import gguf_vocabulary
from sglc.runtime.model.hf_vocabulary import hf_vocabulary
from sglc.runtime.model.load import load_spec
from sglc.runtime.model.locate import locate
from sglc.runtime.model.tokenizer import BpeTokenizer

CUTS = ["gpt2", "smollm", "llama3", "qwen2"]

SNIPPETS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<think>",
    "<s>",
    "</s>",
    "<unk>",
    "<0x41>",
    "\u2581",
    "don't",
    "it'S",
    "'ll",
    "  ",
    "\n\n",
    " \n ",
    "\r\n",
    "\t",
    "123",
    "1234567",
    "ab",
    "The ",
    " the",
    "日本語",
    "。",
    "e\u0301",
    "\u0958",
    "\u1100\u1161\u11a8",
    "\u00a0",
    "\u3000",
    "\x1c",
    "\u180e",
    "👩\u200d👩",
    "\U000e0001",
    "...",
    "?!",
    "a.b",
]
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(SNIPPETS),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        st.text("ab '.\n1é", max_size=6),
    ),
    max_size=10,
).map("".join)

EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True)


def plain(reference):
    """The reference library's pipeline with its added tokens taken out, built part by part."""
    model = tokenizers.models.BPE
    state = json.loads(reference.to_str())["model"]
    specials = {token.content for token in reference.get_added_tokens_decoder().values()}
    vocab = {text: id for text, id in state["vocab"].items() if text not in specials}
    built = tokenizers.Tokenizer(
        model(
            vocab,
            [tuple(merge) for merge in state["merges"]],
            ignore_merges=state["ignore_merges"],
            byte_fallback=state["byte_fallback"],
        )
    )
    if reference.normalizer is not None:
        built.normalizer = reference.normalizer
    if reference.pre_tokenizer is not None:
        built.pre_tokenizer = reference.pre_tokenizer
    return built


@pytest.fixture(scope="module", params=CUTS)
def byte_level(request, train_byte_level, write_folder):
    """(ours, the reference without its control tokens)."""
    reference = train_byte_level(request.param)
    folder = write_folder(reference, {"eos_token": "<|im_end|>"})
    return load_spec(locate(str(folder))).tokenizer, plain(reference)


def test_byte_level_equals_reference(byte_level):
    ours, reference = byte_level

    @EXAMPLES
    @given(TEXTS)
    def check(text):
        expected = reference.encode(text, add_special_tokens=False).ids
        assert ours.encode(text) == expected
        assert ours.encode_batch([text, "", text]) == [expected, [], expected]
        assert not ours.control_ids.intersection(expected)

    check()


def test_byte_level_decodes_what_it_encodes(byte_level):
    ours, reference = byte_level

    @EXAMPLES
    @given(TEXTS)
    def check(text):
        normalized = reference.normalizer.normalize_str(text) if reference.normalizer else text
        ids = ours.encode(text)
        assert ours.decode(ids) == normalized
        assert b"".join(map(ours.token_bytes, ids)) == normalized.encode()

    check()


def test_stable_len_promise(byte_level):
    assert_stable(byte_level[0])


def assert_stable(tokenizer):
    lengths = []

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(TEXTS, TEXTS)
    def check(text, following):
        length = tokenizer.stable_len(text)
        lengths.append(length)
        head, tail = text[:length], text[length:]
        assert tokenizer.encode(text + following) == tokenizer.encode(head) + tokenizer.encode(
            tail + following
        )

    check()
    assert sum(lengths) > len(lengths)  # the promise is not an empty one


def test_stable_len_is_near_the_end_of_prose(byte_level):
    ours, _ = byte_level
    text = "The people look at the water. " * 300
    assert ours.stable_len(text) == len(text) - 1
    assert ours.stable_len(text + "wor") == len(text) - 1
    assert ours.stable_len(text + "word.") == len(text) + 4
    assert ours.stable_len("") == 0
    assert ours.stable_len("word") == 0


def test_no_promise_for_unknown_patterns(train_byte_level, write_folder):
    reference = tokenizers.Tokenizer.from_str(train_byte_level("gpt2").to_str())
    reference.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(r"\w+ |."), "isolated"),
            tokenizers.pre_tokenizers.ByteLevel(False, use_regex=False),
        ]
    )
    ours = load_spec(locate(str(write_folder(reference)))).tokenizer
    assert ours.stable_len("one word after another") == 0


def test_control_tokens_only_by_name(train_byte_level, write_folder):
    reference = train_byte_level("smollm")
    folder = write_folder(
        reference, {"eos_token": "<|im_end|>"}, generation={"eos_token_id": [0, 2]}
    )
    ours = load_spec(locate(str(folder))).tokenizer
    think = reference.token_to_id("<think>")
    size = reference.get_vocab_size()
    assert ours.control_id("<think>") == think
    assert ours.control_id("<|im_start|>") == 1
    assert ours.spell([1, *ours.encode("the é <|im_start|>"), think]) == (
        "<|im_start|>the é <|im_start|><think>"
    )
    assert ours.control_id("the") is None
    assert ours.eos_ids == {0, 2}
    assert ours.bos_id is None
    # the five ids that only the embedding has are never text either
    assert ours.vocab_size == size + 5
    assert ours.control_ids == {0, 1, 2, think, *range(size, size + 5)}
    assert ours.decode([1, *ours.encode("hi"), 2, size + 1]) == "hi"


def test_bos_from_the_post_processor(train_byte_level, write_folder, with_bos):
    reference = tokenizers.Tokenizer.from_str(train_byte_level("gpt2").to_str())
    with_bos(reference, "<|endoftext|>")
    settings_of = {"bos_token": "<|endoftext|>"}
    assert hf_vocabulary(write_folder(reference, settings_of)).bos_id == 0
    off = {**settings_of, "add_bos_token": False}
    assert hf_vocabulary(write_folder(reference, off)).bos_id is None
    ours = load_spec(locate(str(write_folder(reference, settings_of))))
    assert ours.markup.start == (0,)
    assert ours.tokenizer.encode("the") == plain(reference).encode("the").ids


@pytest.fixture(scope="module")
def llama(sentencepiece_file, llama_metadata):
    """(ours out of GGUF metadata, sentencepiece itself)."""
    processor = sentencepiece.SentencePieceProcessor(str(sentencepiece_file))
    vocabulary = gguf_vocabulary(llama_metadata)
    return BpeTokenizer(vocabulary, processor.get_piece_size()), processor


def test_sentencepiece_equals_reference(llama):
    ours, processor = llama
    (dummy,) = processor.encode("\u2581")[:1] or [None]

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(TEXTS)
    def check(text):
        # a newline cannot merge with what follows, so the dummy space stays apart from the text
        with_newline = processor.encode("\n" + text)
        prefix = processor.encode("\n")
        assert with_newline[: len(prefix)] == prefix
        assert ours.encode(text) == with_newline[len(prefix) :]
        assert ours.decode(ours.encode(text)) == text.replace("\u2581", " ")

    assert dummy is not None
    check()


def test_sentencepiece_start_of_context_has_the_dummy_space(llama):
    ours, processor = llama
    assert ours.bos_id == processor.bos_id()
    for text in ["the water", " two", "日本語", "don't"]:
        assert ours.encode(" " + text) == processor.encode(text)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text("a ", max_size=30))
def test_runs_merge_from_the_left(llama, text):
    ours, processor = llama
    prefix = processor.encode("\n")
    assert ours.encode(text) == processor.encode("\n" + text)[len(prefix) :]


def test_sentencepiece_stable_len(llama):
    assert_stable(llama[0])


def test_sentencepiece_of_a_folder(llama_metadata, llama, write_folder):
    """tokenizer.json as transformers writes it for Llama, dummy space and all."""
    _, processor = llama
    vocabulary = gguf_vocabulary(llama_metadata)
    model = vocabulary.pipeline["model"]
    vocab = {processor.id_to_piece(id): id for id in range(processor.get_piece_size())}
    reference = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            vocab, [tuple(pair) for pair in model["merges"]], byte_fallback=True, unk_token="<unk>"
        )
    )
    reference.normalizer = tokenizers.normalizers.Sequence(
        [
            tokenizers.normalizers.Prepend("\u2581"),
            tokenizers.normalizers.Replace(" ", "\u2581"),
        ]
    )
    reference.add_special_tokens(["<unk>", "<s>", "</s>"])
    settings_of = {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True}
    spec = load_spec(locate(str(write_folder(reference, settings_of))))
    assert spec.markup.start == (1, " ")
    assert spec.tokenizer.eos_ids == {2}
    ours = spec.tokenizer
    for text in ["the water<s> and", "  two  spaces ", "日本語 \U0001f600"]:
        assert ours.encode(" " + text.replace("<s>", "")) == processor.encode(
            text.replace("<s>", "")
        )
        assert not ours.control_ids.intersection(ours.encode(text))
    assert ours.decode(ours.encode("a <s> b")) == "a <s> b"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tokenizer.ggml.model": "bert"}, "the GGUF tokenizer `bert` is not supported"),
        ({"tokenizer.ggml.tokens": []}, "the GGUF file has no tokenizer"),
        ({"tokenizer.ggml.remove_extra_whitespaces": True}, "normalizes its text"),
        (
            {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "odd"},
            "the GGUF pre-tokenizer `odd` is not supported; known: gpt-2, smollm, llama-bpe",
        ),
    ],
)
def test_refusals(llama_metadata, change, sentence):
    with pytest.raises(ModelError, match=sentence):
        gguf_vocabulary({**llama_metadata, **change})


def test_folders_without_a_usable_tokenizer(train_byte_level, write_folder):
    folder = write_folder(train_byte_level("gpt2"))
    definition = json.loads((folder / "tokenizer.json").read_text())
    definition["model"] = {"type": "Unigram", "vocab": [["a", -1.0]]}
    (folder / "tokenizer.json").write_text(json.dumps(definition))
    with pytest.raises(ModelError, match="a tokenizer of type Unigram is not supported"):
        hf_vocabulary(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        hf_vocabulary(folder)


def test_ids_must_fit_the_model(llama_metadata):
    vocabulary = gguf_vocabulary(llama_metadata)
    with pytest.raises(ModelError, match="but the model has only 100"):
        BpeTokenizer(vocabulary, 100)
