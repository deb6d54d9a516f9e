"""Chat templates of the known families, taken apart and put together again.

The templates are written here after the families' structure; renderings come from transformers' own
renderer, so that ours is checked too.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from sglc.runtime.model.chat import derive_markup, end_of_turn
from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.vocabulary import ControlToken, Vocabulary

CHATML = """
{%- for message in messages %}
    {%- if loop.first and message.role != 'system' %}
        {{- '<|im_start|>system\\nYou are kind.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""

# a last answer is shown with an empty reasoning block, results of tools are wrapped and merged
QWEN3 = """
{%- set ns = namespace(last=-1) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if loop.last and loop.index0 > ns.last %}
            {{- '<think>\\n\\n</think>\\n\\n' }}
        {%- endif %}
        {{- message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

LLAMA3 = """
{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now('%d %b %Y') %}
    {%- else %}
        {%- set date_string = '26 Jul 2024' %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = '' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: ' + date_string + '\\n\\n' }}
{{- system_message + '<|eot_id|>' }}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' }}
        {{- message.content | tojson + '<|eot_id|>' }}
    {%- else %}
        {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
        {{- message.content | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}"""

LLAMA2 = """
{%- if messages[0]['role'] == 'system' %}
    {%- set loop_messages = messages[1:] %}
    {%- set system_message = messages[0]['content'] %}
{%- else %}
    {%- set loop_messages = messages %}
    {%- set system_message = false %}
{%- endif %}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate') }}
    {%- endif %}
    {%- if loop.index0 == 0 and system_message != false %}
        {%- set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message.content %}
    {%- else %}
        {%- set content = message.content %}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {{- bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
    {%- elif message['role'] == 'assistant' %}
        {{- ' '  + content.strip() + ' ' + eos_token }}
    {%- endif %}
{%- endfor %}"""

# the system text goes into the last user turn: it cannot be written before it is known
MISTRAL3 = """
{{- bos_token }}
{%- if messages[0].role == 'system' %}
    {%- set system_message = messages[0].content %}{%- set turns = messages[1:] %}
{%- else %}
    {%- set turns = messages %}
{%- endif %}
{%- for message in turns %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate') }}
    {%- endif %}
    {%- if message.role == 'user' %}
        {%- if loop.last and system_message is defined %}
            {{- '[INST] ' + system_message + '\\n\\n' + message.content + '[/INST]' }}
        {%- else %}
            {{- '[INST] ' + message.content + '[/INST]' }}
        {%- endif %}
    {%- else %}
        {{- ' ' + message.content + eos_token }}
    {%- endif %}
{%- endfor %}"""

PHI3 = """
{%- for message in messages %}
    {%- if message.role in ('system', 'user', 'assistant') %}
        {{- '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\\n' }}{%- else %}{{- eos_token }}{%- endif %}"""

GEMMA = """
{{- bos_token }}
{%- if messages[0].role == 'system' %}
    {{- raise_exception('System role not supported') }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate') }}
    {%- endif %}
    {%- set role = 'model' if message.role == 'assistant' else message.role %}
    {{- '<start_of_turn>' + role + '\\n' + message.content | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}"""

CONTROLS = {
    "chatml": ["<|im_start|>", "<|im_end|>"],
    "qwen3": ["<|im_start|>", "<|im_end|>", "<tool_response>", "</tool_response>", "<think>"],
    "llama3": ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"],
    "llama2": ["<s>", "</s>"],
    "mistral3": ["<s>", "</s>", "[INST]", "[/INST]"],
    "phi3": ["<s>", "</s>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"],
    "gemma": ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"],
}
TEMPLATES = {
    "chatml": CHATML,
    "qwen3": QWEN3,
    "llama3": LLAMA3,
    "llama2": LLAMA2,
    "mistral3": MISTRAL3,
    "phi3": PHI3,
    "gemma": GEMMA,
}
BOS = {"llama3": 0, "llama2": 0, "mistral3": 0, "gemma": 0}


def vocabulary_of(family, **changes):
    controls = tuple(ControlToken(name, id) for id, name in enumerate(CONTROLS[family]))
    fields = {
        "pipeline": {"model": {"vocab": {}}},
        "controls": controls,
        "bos_id": BOS.get(family),
        "eos_ids": frozenset(),
        "is_byte_level": True,
        "dummy_space": False,
        "special_names": {"bos_token": CONTROLS[family][0], "eos_token": CONTROLS[family][1]},
    }
    return Vocabulary(**{**fields, **changes})


def markup_of(family, **changes):
    return derive_markup(TEMPLATES[family], vocabulary_of(family, **changes))


def spell(pieces, family):
    """Pieces as the text they stand for."""
    return "".join(piece if isinstance(piece, str) else CONTROLS[family][piece] for piece in pieces)


def assembled(family, markup, messages, opens_assistant=False):
    """The conversation as sglc writes it, up to the end of its last content."""
    text, previous = "", ""
    for message in messages:
        text += spell(markup.closing.get(previous, ()), family) if previous else ""
        text += spell(markup.opening[previous, message["role"]], family) + message["content"]
        previous = message["role"]
    if opens_assistant:
        text += spell(markup.closing[previous], family)
        text += spell(markup.opening[previous, "assistant"], family)
    return text


def rendered(family, messages, add_generation_prompt):
    special = {"bos_token": CONTROLS[family][0], "eos_token": CONTROLS[family][1]}
    (text,), _ = render_jinja_template(
        conversations=[messages],
        chat_template=TEMPLATES[family],
        add_generation_prompt=add_generation_prompt,
        **special,
        **({"date_string": "26 Jul 2024"} if family == "llama3" else {}),
    )
    return text


CONTENT = st.text("abc DEF.\n{}<>\"'", min_size=1, max_size=12).filter(lambda text: text.strip())
TURNS = st.lists(st.tuples(CONTENT, CONTENT), max_size=3)


def conversation(pairs, last, system):
    messages = [{"role": "system", "content": system}] if system else []
    for question, answer in pairs:
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": answer})
    return [*messages, {"role": "user", "content": last}]


@pytest.mark.parametrize("family", TEMPLATES)
def test_put_together_equals_the_rendering(family):
    """What a model is given for its next answer, whatever was said before."""
    markup = markup_of(family)
    trims = family in ("llama3", "llama2", "gemma")
    writes_space = family in ("llama2", "mistral3")

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(TURNS, CONTENT, st.none() | CONTENT)
    def check(pairs, last, system):
        has_system = "system" in markup.roles
        messages = conversation(pairs, last, system if has_system else None)
        if trims:
            for message in messages:
                message["content"] = message["content"].strip()
        expected = rendered(family, messages, True)
        if writes_space:
            # an answer begins with its own space there, as a model writes it
            for message in messages:
                if message["role"] == "assistant":
                    message["content"] = " " + message["content"]
        assert assembled(family, markup, messages, opens_assistant=True) == expected

    check()


def test_chatml():
    markup = markup_of("chatml")
    assert markup.closing == dict.fromkeys(("user", "assistant", "system", "tool"), (1, "\n"))
    assert markup.opening["user", "assistant"] == (0, "assistant\n")
    assert markup.opening["", "system"] == (0, "system\n")
    assert markup.opening["", "user"] == (0, "system\nYou are kind.", 1, "\n", 0, "user\n")
    assert markup.default_system == "You are kind."
    assert markup.start == ()
    assert markup.notes == ()
    assert list(end_of_turn(markup)) == [1]


def test_qwen3_history_has_no_empty_reasoning():
    markup = markup_of("qwen3")
    assert markup.opening["user", "assistant"] == (0, "assistant\n")
    assert markup.closing["tool"] == ("\n", 3)
    assert markup.opening["tool", "tool"] == ("\n", 2, "\n")
    assert markup.opening["tool", "assistant"] == (1, "\n", 0, "assistant\n")
    assert markup.default_system is None


def test_llama3_date_and_bos():
    markup = markup_of("llama3")
    header = (0, 2, "system", 3, "\n\nToday Date: 26 Jul 2024\n\n")
    assert markup.opening["", "system"] == header
    assert markup.opening["", "user"] == (*header, 1, 2, "user", 3, "\n\n")
    assert markup.start == (0,)
    assert "tool" not in markup.roles  # its contents are quoted, not kept
    assert markup.pinned_date == "26 Jul 2024"
    assert "the template has no tool role" in markup.notes
    assert markup.opening["", "user"].count(0) == 1


def test_bos_is_added_once_where_the_template_leaves_it_out():
    markup = markup_of("phi3", bos_id=0)
    assert markup.opening["", "user"] == (0, 3, "\n")
    assert markup.closing["user"] == (2, "\n")
    assert markup_of("phi3").opening["", "user"] == (3, "\n")


def test_llama2():
    markup = markup_of("llama2")
    assert markup.opening["", "user"] == (0, "[INST] ")
    assert markup.opening["", "system"] == (0, "[INST] <<SYS>>\n")
    both = markup.closing["system"] + markup.opening["system", "user"]
    assert spell(both, "llama2") == "\n<</SYS>>\n\n"
    assert markup.opening["user", "assistant"] == ()
    assert markup.closing["assistant"] == (" ", 1)
    assert ("user", "user") not in markup.opening
    assert ("", "assistant") not in markup.opening
    assert any("generation prompt" in note for note in markup.notes)


def test_dummy_space_at_the_start_only():
    markup = markup_of("llama2", dummy_space=True)
    assert markup.start == (0, " ")
    assert markup.opening["", "user"] == (0, " [INST] ")
    assert markup.opening["assistant", "user"] == (0, "[INST] ")


def test_mistral_keeps_user_and_assistant_without_system():
    markup = markup_of("mistral3")
    assert set(markup.roles) == {"user", "assistant"}
    assert "the template has no system role" in markup.notes
    assert markup.opening["", "user"] == (0, 2, " ")


def test_gemma_has_no_system_role():
    markup = markup_of("gemma")
    assert set(markup.roles) == {"user", "assistant"}
    assert markup.opening["user", "assistant"] == (2, "model\n")
    assert list(end_of_turn(markup)) == [3]


def test_tokens_that_swallow_white_space():
    controls = tuple(
        ControlToken(name, id, strips_right=name.startswith("<|"))
        for id, name in enumerate(CONTROLS["phi3"])
    )
    markup = markup_of("phi3", controls=controls)
    assert markup.opening["", "user"] == (3,)
    assert markup.closing["user"] == (2,)


def test_no_template_no_roles():
    markup = derive_markup(None, vocabulary_of("llama2"))
    assert markup.roles == ()
    assert markup.start == (0,)
    assert markup.notes == ("the model has no chat template: roles are not available",)


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{% for m in messages", "not valid jinja"),
        ("{{ messages[-1].content }}", "it does not show the contents of user user as they are"),
        (
            "{% for m in messages %}{{ loop.index }}{{ m.role }}: {{ m.content }}\n{% endfor %}",
            "between user and user it writes '\\\\n2user: ' in one conversation and '\\\\n3user: '",
        ),
        (
            "{% for m in messages %}{{ '<long>' if m.content|length > 20 }}{{ m.role }}:"
            "{{ m.content }}\n{% endfor %}",
            "before a first user it writes 'user:' in one conversation and '<long>user:' in an",
        ),
        (
            "{% for m in messages %}{{ m.role }}:{{ m.content|tojson }}\n{% endfor %}",
            "it does not show the contents of user as they are",
        ),
        ("{{ raise_exception('no') }}", "it does not show what user and assistant say"),
    ],
)
def test_templates_that_do_not_decompose(template, sentence):
    with pytest.raises(ModelError, match=sentence):
        derive_markup(template, vocabulary_of("chatml"))
