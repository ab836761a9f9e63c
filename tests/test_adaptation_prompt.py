"""Prompts against the slow truth: whole chats through the library's own class, neighbours by brute force."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from tokenizers import processors

import commands
from number_formats import AUTO, assert_near
from planted import planted_task, rows_of, with_parts, write_rows
from routes import SHORT
from small_models import write_folder
from tokenworth.adaptation import adapt, load_classifier, make_config
from tokenworth.adaptation.routes.chat_template import ChatFrame
from tokenworth.adaptation.routes.nearest_examples import nearest_others
from tokenworth.adaptation.routes.prompt_calibration import label_share_bias, log_probabilities
from tokenworth.adaptation.routes.prompt_format import PromptFormat
from tokenworth.adaptation.routes.prompt_route import balanced_rows
from tokenworth.adaptation.routes.prompt_template import Template, class_words, system_line, template_of
from tokenworth.assessment import assess
from tokenworth.errors import AdaptError, SettingError
from tokenworth.probes.probability_metrics import softmax

pytestmark = pytest.mark.formats

CHAT = (
    "{% for m in messages %}{{ {'system': 'w50', 'user': 'w51', 'assistant': 'w52'}[m['role']] }} {{ m['content'] }} "
    "{{ eos_token }} {% endfor %}{% if add_generation_prompt %}w52 {% endif %}"
)
WORDS = {"class 0": "w40", "class 1": "w41 w42 w43"}
ASKED = {**SHORT, "template": "{text} w30", "system": "w44 w45", "label_words": WORDS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A llama that reads 300 tokens, with a chat template and a token that its tokenizer puts before plain texts."""
    folder = write_folder(
        tmp_path_factory.mktemp("prompt") / "llama", "llama", lm_head=True, max_position_embeddings=300
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def task():
    return planted_task(40, 12)


def adapted(folder, task, out, **settings):
    adapt(str(folder), task, "prompt", out=out, config={**ASKED, **settings}, cache=str(out.parent / "cache"))
    return load_classifier(out).predictor


def slow_scores(folder, chats, *, total=False):
    """(N, C): the whole chat with each answer in it through the class of the library, alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, AUTO)).eval()
    rows = []
    for chat in chats:
        asked = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        row = []
        for words in WORDS.values():
            label = tokenizer(words, add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                log_p_TV = model(torch.tensor([asked + label])).logits[0].float().log_softmax(1)
            told = [log_p_TV[len(asked) - 1 + i, token].item() for i, token in enumerate(label)]
            row.append(np.sum(told) if total else np.mean(told))
        rows.append(row)
    return np.array(rows)


def chat_of(examples, text):
    chat = [{"role": "system", "content": "w44 w45"}]
    for shown, words in [*examples, (text, None)]:
        chat.append({"role": "user", "content": f"{shown} w30"})
        if words:
            chat.append({"role": "assistant", "content": words})
    return chat


@pytest.mark.parametrize("total", [False, True], ids=["mean", "sum"])
@pytest.mark.parametrize("shots", [0, 3])
def test_scores_are_those_of_the_librarys_class_on_the_whole_chat(folder, task, tmp_path, shots, total):
    how = "sum" if total else "mean"
    predictor = adapted(folder, task, tmp_path / "out", shots=shots, label_likelihood=how)
    assert len(predictor.examples) == shots
    expected = slow_scores(folder, [chat_of(predictor.examples, text) for text in task.test.texts], total=total)
    assert_near(predictor.scores(task.test.texts), expected, AUTO)


def test_scores_with_the_nearest_examples_are_those_of_the_class_on_each_chat(folder, task, tmp_path):
    predictor = adapted(folder, task, tmp_path / "out", shots=3, examples="nearest")
    rows_N = predictor.nearest.rows(task.test.texts)
    words = list(WORDS.values())
    examples_N = [[(task.train.texts[row], words[task.train.labels[row]]) for row in rows] for rows in rows_N]
    chats = [chat_of(*pair) for pair in zip(examples_N, task.test.texts, strict=True)]
    assert_near(predictor.scores(task.test.texts), slow_scores(folder, chats), AUTO)
    assert len({str(examples) for examples in examples_N}) > 1, "the task has texts with other neighbours"


def brute_nearest(train_ND, texts, asked_D, asked, k):
    """Rows of the k most alike of other wording, the most alike last."""
    mean_D = train_ND.mean(0)
    cosines = [
        (row - mean_D) @ (asked_D - mean_D) / np.linalg.norm(row - mean_D) / np.linalg.norm(asked_D - mean_D)
        for row in train_ND
    ]
    others = [row for row in np.argsort(cosines, kind="stable") if texts[row] != asked]
    return others[-k:]


def test_nearest_examples_are_those_of_brute_force(folder, task, tmp_path):
    """Texts that stand in train, one of them twice, among those that are asked about."""
    texts = [*task.train.texts]
    texts[1] = texts[0]
    repeated = with_parts(task, train={"texts": texts})
    nearest = adapted(folder, repeated, tmp_path / "out", shots=4, examples="nearest").nearest
    asked = [*task.test.texts, *texts[:5]]
    features = nearest._features(asked).astype(np.float64)
    wide = nearest.features_ND.astype(np.float64)
    for rows, features_D, text in zip(nearest.rows(asked), features, asked, strict=True):
        assert rows.tolist() == brute_nearest(wide, texts, features_D, text, 4)
        assert text not in [texts[row] for row in rows]


def plain_features(folder, texts):
    """By layer and pooling (N, D), from the library's base class."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        states = [
            torch.stack(model(torch.tensor([tokenizer(text)["input_ids"]]), output_hidden_states=True).hidden_states)
            for text in texts
        ]
    layers = range(len(states[0]))
    means = {(layer, "mean"): np.stack([one[layer, 0].mean(0).numpy() for one in states]) for layer in layers}
    return means | {(layer, "last"): np.stack([one[layer, 0, -1].numpy() for one in states]) for layer in layers}


def test_layer_and_pooling_are_those_whose_neighbours_vote_best(folder, task, tmp_path):
    out = tmp_path / "out"
    adapted(folder, task, out, shots=3, examples="nearest", dtype="float32")
    facts = json.loads((out / "result.json").read_text())["facts"]["nearest"]
    texts, labels, shares = task.train.texts, task.train.labels, {}
    for place, features in plain_features(folder, texts).items():
        votes = [
            np.bincount(labels[brute_nearest(features, texts, features[row], text, 3)]).argmax()
            for row, text in enumerate(texts)
        ]
        shares[place] = np.mean(votes == labels)
    assert facts["vote_accuracy"] == pytest.approx(max(shares.values()), abs=0.026), "one text of 40 may be a near tie"
    assert shares[facts["layer"], facts["pooling"]] == pytest.approx(max(shares.values()), abs=0.026)


def test_nearest_others_with_few_of_another_kind():
    train = torch.eye(4, dtype=torch.float64)
    rows, _ = nearest_others(train, train[:2], np.array([0, 0, 0, 1]), np.array([0, -1]), 3)
    assert rows.tolist()[0] == [3], "one text is of another kind, so each gets one"
    assert rows.tolist()[1] == [1]


def test_the_pass_of_an_assessment_serves_and_labels_of_test_texts_do_not(folder, task, tmp_path):
    cache = tmp_path / "cache"
    assess(str(folder), task, cache=str(cache))
    first = adapted(folder, task, tmp_path / "a", shots=3, examples="nearest")
    facts = json.loads((tmp_path / "a" / "result.json").read_text())["facts"]["nearest"]
    assert facts["pass_reused"] is True
    turned = with_parts(task, test={"labels": 1 - task.test.labels})
    second = adapted(folder, turned, tmp_path / "b", shots=3, examples="nearest")
    np.testing.assert_array_equal(first.scores(task.test.texts), second.scores(task.test.texts))


def test_only_texts_to_learn_from_are_examples(folder, task, tmp_path):
    """With a validation part and fewer training texts than there are."""
    config = {"shots": 2, "examples": "nearest", "calibrate": True, "train_size": 20}
    predictor = adapted(folder, task, tmp_path / "out", **config)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert len(predictor.nearest.texts) == result["task"]["texts"]["train"] < 20
    assert set(predictor.nearest.texts) <= set(task.train.texts)


# -- the command line -----------------------------------------------------------------------------------------------


def test_predict_from_a_saved_classifier_with_nearest_examples(folder, task, tmp_path):
    write_rows(tmp_path / "train.csv", rows_of(task)[:40])
    write_rows(tmp_path / "test.csv", rows_of(task)[40:])
    (tmp_path / "new.csv").write_text("text\nw11 w12 w13 w1\nw21 w22 w23\n")
    (tmp_path / "run.yaml").write_text('label_words:\n  class 0: "w40"\nshots: 5\n')
    command = (
        "adapt", "train.csv", "--test", "test.csv", "--route", "prompt", "--model", folder, "--config", "run.yaml",
        "--shots", 3, "--examples", "nearest", "--system", "w44 w45", "--template", "{text} w30", "--label-shares",
        "--label-words", "class 0=w40,class 1=w41 w42 w43", "--out", "out", "--cache", "cache", "--no-mislabelled",
    )  # fmt: skip
    ended = commands.tokenworth(*command, cwd=tmp_path)
    assert ended.code == 0, ended.err
    facts = json.loads((tmp_path / "out" / "result.json").read_text())["facts"]
    assert facts["words"] == ["w40", "w41 w42 w43"]
    assert facts["system"] == "w44 w45"
    assert facts["label_shares"] is True
    printed = commands.tokenworth("predict", "out", "new.csv", "--json", "--quiet", cwd=tmp_path)
    assert printed.code == 0, printed.err
    classifier = load_classifier(tmp_path / "out")
    new = ["w11 w12 w13 w1", "w21 w22 w23"]
    assert [row["predicted"] for row in json.loads(printed.out)] == classifier.predict(new)
    expected = log_probabilities(classifier.predictor.raw_scores(new)) - np.array(classifier.predictor.bias_C)
    np.testing.assert_array_equal(classifier.predictor.scores(new), expected)
    (tmp_path / "out" / "model" / "neighbours.safetensors").unlink()
    with pytest.raises(AdaptError, match="holds no classifier that can be read"):
        load_classifier(tmp_path / "out")


# -- what a prompt is made of ---------------------------------------------------------------------------------------

TURNS = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}" + TURNS


def written(folder, template, system, examples=(("a", "yes"),)):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    backbone = SimpleNamespace(tokenizer=tokenizer, max_length=300, name="tiny")
    form = PromptFormat(backbone, ChatFrame(tokenizer, "tiny"), "T: {text}\nC:", system, ("yes", "no"), None)
    return form._written([list(examples)], ["b {text}"])[0]


def test_where_the_system_line_goes(folder):
    rest = "<assistant>yes\n<user>T: b {text}\nC:\n<assistant>"
    assert written(folder, TURNS, "S") == "<system>S\n<user>T: a\nC:\n" + rest
    assert written(folder, NO_SYSTEM, "S") == "<user>S\n\nT: a\nC:\n" + rest
    assert written(folder, TURNS, "") == "<user>T: a\nC:\n" + rest
    assert written(folder, None, "S") == "S\n\nT: a\nC: yes\n\nT: b {text}\nC:"


def test_a_models_own_tokenizer_reads_a_chat_as_the_library_does(folder):
    """No token before it that the template does not write, though the tokenizer begins plain texts with one."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    begin = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.backend_tokenizer.post_processor = begin
    assert tokenizer("w1")["input_ids"] == [0, 5]
    backbone = SimpleNamespace(tokenizer=tokenizer, max_length=300, name="tiny", pad_id=1)
    form = PromptFormat(backbone, ChatFrame(tokenizer, "tiny"), "{text} w30", "w44 w45", ("w40", "w41 w42"), None)
    (ids,) = form.prompt_ids([[("w1 w2", "w40")]], ["w3"], 2)
    expected = tokenizer.apply_chat_template(
        chat_of([("w1 w2", "w40")], "w3"), add_generation_prompt=True, return_dict=False
    )
    assert ids == expected
    assert form.label_ids() == [[44], [45, 46]]


def test_max_length_is_of_a_text_and_not_of_the_prompt(folder, task, tmp_path):
    predictor = adapted(folder, task, tmp_path / "out", shots=4, max_length=3)
    assert all(len(text.split()) <= 3 for text, _ in predictor.examples)
    (ids,) = predictor.format.prompt_ids([predictor.examples], [" ".join(["w9"] * 50)], 3)
    shown = sum(text.split().count("w9") for text, _ in predictor.examples)
    assert ids.count(predictor.backbone.tokenizer.get_vocab()["w9"]) == shown + 3
    assert len(ids) > 20


def test_the_system_line_names_task_and_classes():
    template = template_of("sms_spam", None)
    assert system_line(template, ["normal", "spam"]) == (
        "You are a text classifier. Tell the kind of a text message. Answer with one of: normal, spam."
    )
    assert system_line(Template(), [f"c{i}" for i in range(101)]) == (
        "You are a text classifier. Tell the category of a text."
    )


def test_words_that_are_given_go_before_the_tasks_own():
    assert class_words("sms_spam", ("ham", "spam"), {"spam": "junk"}) == ["normal", "junk"]
    with pytest.raises(SettingError, match=r"no class 'span'; did you mean 'spam'"):
        class_words("sms_spam", ("ham", "spam"), {"span": "junk"})
    with pytest.raises(SettingError, match="'spam' stands for two classes"):
        class_words("sms_spam", ("ham", "spam"), {"ham": "spam"})
    assert class_words("mine", ("A b", "a_b"), {}) == ["A b", "a_b"], "names that read alike stay as they are"


@pytest.mark.parametrize(("settings", "message"), [
    ({"examples": "nearest"}, "looks for as many as shots says, and that is 0"),
    ({"contextual": True, "label_shares": True}, "both shift the classes"),
    ({"label_words": {"pos": True}}, "label_words gives no words for 'pos'"),
    ({"label_words": "pos"}, "label_words gives no words for 'pos'"),
    ({"label_words": 5}, "lines such as 'ham: normal', or ham=normal,spam=spam"),
    ({"examples": "similar"}, "choose one of balanced, nearest"),
])  # fmt: skip
def test_settings_that_contradict_each_other_are_one_sentence(settings, message):
    with pytest.raises(SettingError, match=message):
        make_config(settings)


def test_words_from_a_command_line_are_those_of_a_mapping():
    given = make_config({"label_words": "ham=normal, spam=it is spam"})
    assert given.words_of_classes == {"ham": "normal", "spam": "it is spam"}
    assert given == make_config({"label_words": {"ham": "normal", "spam": "it is spam"}})


def test_drawn_examples_are_balanced():
    labels = np.repeat([0, 1, 2], [100, 6, 2])
    for seed in range(5):
        counts = np.bincount(labels[balanced_rows(labels, 7, seed)], minlength=3)
        assert counts.tolist() in ([2, 3, 2], [3, 2, 2]), "the third has no more than two"
    assert sorted(balanced_rows(labels, 108, 0)) == list(range(108))
    assert balanced_rows(labels, 6, 0).tolist() != balanced_rows(labels, 6, 1).tolist()


def test_the_shares_of_labels_are_met():
    """By its definition, however far the scores favour a class; the differences of a class between texts stay."""
    scores = np.random.default_rng(0).normal(size=(50, 3)) * 4 + [30, 0, -9]
    share = np.array([0.2, 0.5, 0.3])
    shifted = log_probabilities(scores) - label_share_bias(scores, share)
    np.testing.assert_allclose(softmax(shifted).mean(0), share, atol=1e-7)
    assert replace(Template(), asked="x").pattern == Template().pattern
