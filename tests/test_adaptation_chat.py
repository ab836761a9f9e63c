"""Chat templates: what the library makes of them, and programs in them that never end, fail or fill the memory."""

import resource
from dataclasses import replace

import pytest
import transformers
from transformers.utils.chat_template_utils import render_jinja_template

import tokenworth.adaptation.routes.chat_template as chat
from planted import planted_task
from small_models import write_folder
from tokenworth.adaptation import adapt
from tokenworth.adaptation.routes.chat_process import answer
from tokenworth.adaptation.routes.chat_template import ChatFrame, turn
from tokenworth.errors import BackboneError

PLAIN = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] | trim }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
SPACED = (  # as Llama 2's and Mistral's: no role of the system, and a space before each answer
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
    "{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]{% else %}"
    " {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
LINES = (
    "{% for m in messages %}{{ m['role'] }}\n{{ m['content'] }}|{% endfor %}"
    "{% if add_generation_prompt %}assistant\n{% endif %}"
)
TEXTS = ["a b", "", "  Ünïcode 狐\n\twith lines ", "{{ 7 * 7 }} {% raw %}", '"quotes" \\ and \x07', "x" * 5000]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("chat") / "llama", "llama", lm_head=True)
    return transformers.AutoTokenizer.from_pretrained(folder)


def asked(text):
    return [turn("user", text)]


def frame_of(tokenizer, template, **more):
    tokenizer.chat_template = template
    return ChatFrame(tokenizer, "tiny", **more)


def test_prompts_are_those_of_the_library(tokenizer):
    frame = frame_of(tokenizer, PLAIN)
    chats = [
        *map(asked, TEXTS),
        [turn("system", "S"), *asked("one"), turn("assistant", "A"), *asked("two")],
    ]
    wanted = [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
    assert frame.prompts(chats) == wanted
    assert frame.prompts(chats * 20) == wanted * 20, "more than one line of chats"
    assert wanted[3] == "<s>[user] {{ 7 * 7 }} {% raw %}</s>\n[assistant]", "a text is never run"
    frame = frame_of(tokenizer, {"default": PLAIN, "tool_use": "{{ fail() }}"})
    assert frame.prompts(chats[:1]) == wanted[:1]


def test_without_a_template_and_without_the_wish_there_is_none(tokenizer):
    for frame in (frame_of(tokenizer, None), frame_of(tokenizer, PLAIN, wanted=False)):
        assert not frame.is_there


@pytest.mark.parametrize(
    ("template", "system", "space"),
    [
        (PLAIN, True, " "),
        (SPACED, False, " "),
        ("{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}|{% endfor %}", False, ""),
        (LINES, True, ""),
    ],
    ids=["system", "no system", "silent", "lines"],
)  # fmt: skip
def test_what_a_template_does_with_system_lines_and_answers(tokenizer, template, system, space):
    frame = frame_of(tokenizer, template)
    assert frame.takes_system is system
    assert frame.before_answer == space


SILENT = {
    "a word that is no syntax": "{% for m in %}",
    "a name that is not there": "{{ nowhere.deeper }}",
    "division by nothing": "{{ 1 / 0 }}",
    "the class of a class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "the globals of a function": "{{ raise_exception.__globals__['os'].system('true') }}",
    "its own exception": "{{ raise_exception('only with a system prompt\nand more') }}",
    "a range without end": "{% for i in range(10 ** 9) %}x{% endfor %}",
    "a text of megabytes": "{{ 'A' * 10 ** 7 }}",
    "macros that call themselves": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a number of too many digits": "{{ 10 ** 5000 }}",
}


@pytest.mark.parametrize("template", SILENT.values(), ids=SILENT)
def test_a_template_that_fails_is_one_line(template):
    given = {"template": template, "variables": {}, "most": 100_000}
    error = answer(render_jinja_template, given, [asked("a"), asked("b")])["error"]
    assert error
    assert "\n" not in error
    assert len(error) < 300


ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (ENDLESS, "it does not end within 1 s"),
        ("{{ 'A' * 10 ** 10 }}", "MemoryError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero"),
        ({"rag": PLAIN}, "multiple chat templates with no default"),
    ],
    ids=["no end", "no memory", "fails", "no default"],
)
def test_a_hostile_template_is_one_sentence_about_its_model(tokenizer, template, reason, monkeypatch):
    monkeypatch.setattr(chat, "_SECONDS", 1.0)
    frame = frame_of(tokenizer, template)
    with pytest.raises(
        BackboneError, match=r"the chat template of tiny .*go on without the template by --no-chat"
    ) as told:
        frame.prompts([asked("a")])
    assert reason in str(told.value)
    assert "\n" not in str(told.value)
    with pytest.raises(BackboneError):
        frame.prompts([asked("a")])  # again in a new process, and not in one that has ended


def test_memory_of_a_template_is_not_ours(tokenizer):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BackboneError):
        frame_of(tokenizer, "{{ 'A' * 3 * 10 ** 8 }}").prompts([asked("a")])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_the_process_ends_with_its_frame(tokenizer):
    frame = frame_of(tokenizer, PLAIN)
    frame.prompts([asked("a")])
    process = frame._process
    assert process.poll() is None
    del frame
    assert process.poll() is not None


def test_a_route_says_it_and_goes_on_without(tmp_path):
    """Every class of the same model, prompted with and without the template that fails."""
    folder = write_folder(tmp_path / "llama", "llama", lm_head=True)
    own = transformers.AutoTokenizer.from_pretrained(folder)
    task = replace(planted_task(20, 10), label_names=("w1", "w2"))
    config = {"template": "{text} w30", "dtype": "float32", "mislabelled": False}
    plain = adapt(str(folder), task, "prompt", config=config)
    own.chat_template = "{{ raise_exception('no') }}"
    own.save_pretrained(folder)
    with pytest.raises(BackboneError, match="TemplateError: no"):
        adapt(str(folder), task, "prompt", config=config)
    without = adapt(str(folder), task, "prompt", config={**config, "chat": False})
    assert without.metrics == plain.metrics
