"""Quality rules and decontamination outside English, and in other forms of Unicode."""

# ruff: noqa: E501, RUF001 - texts of other scripts are meant
import json
import random
import unicodedata

import pytest

from tokenworth.corpus import contamination
from tokenworth.corpus.build import build
from tokenworth.corpus.corpus_settings import Corpus, Source
from tokenworth.corpus.document import Document, Ledger
from tokenworth.corpus.filters.contamination import comparable
from tokenworth.corpus.filters.decontamination import Decontaminate
from tokenworth.corpus.filters.document_stages import Normalise, Quality, Redact
from tokenworth.corpus.filters.languages import FREQUENT, characters_per_word
from tokenworth.corpus.filters.quality_rules import QualityRules, judge, judgements
from tokenworth.corpus.output.build_report import describe
from tokenworth.errors import TokenworthError
from tokenworth.tasks import load_task

STORIES = {
    "de": (
        "Der alte Leuchtturm steht seit dem großen Sturm auf der nördlichen Klippe und wird von einer kleinen Familie "
        "gepflegt. Jeden Abend steigt die Tochter des Wärters die schmale Treppe hinauf, putzt die Linsen und zündet "
        "das Licht an. Die Fischer im Hafen sagen, dass sie ohne dieses Licht im Winter nicht mehr ausfahren würden. "
        "Im vergangenen Frühjahr beschloss der Gemeinderat, das Gebäude zu erneuern, weil der Regen durch das Dach "
        "drang. Die Arbeiten dauerten länger als geplant, denn die Steine mussten mit dem Boot gebracht werden."
    ),
    "fr": (
        "Le vieux phare se dresse sur la falaise du nord depuis la grande tempête, et une petite famille s'en occupe. "
        "Chaque soir, la fille du gardien monte l'escalier étroit, nettoie les lentilles et allume la lampe. Les "
        "pêcheurs du port disent que sans cette lumière ils ne sortiraient plus en hiver. Au printemps dernier, le "
        "conseil a décidé de réparer le bâtiment, parce que la pluie passait par le toit. Les travaux ont duré plus "
        "longtemps que prévu, car il fallait apporter les pierres en bateau."
    ),
    "ru": (
        "Старый маяк стоит на северной скале со времени большой бури, и за ним следит небольшая семья. Каждый вечер "
        "дочь смотрителя поднимается по узкой лестнице, чистит стёкла и зажигает огонь. Рыбаки в гавани говорят, что "
        "без этого света они не выходили бы зимой в море. Прошлой весной совет решил починить здание, потому что "
        "дождь проходил через крышу. Работы шли дольше, чем думали, так как камни пришлось привозить на лодке."
    ),
    "fi": (
        "Vanha majakka on seissyt pohjoisella kalliolla suuresta myrskystä asti, ja pieni perhe pitää siitä huolta. "
        "Joka ilta majakanvartijan tytär nousee kapeita portaita, puhdistaa linssit ja sytyttää valon. Sataman "
        "kalastajat sanovat, että ilman tätä valoa he eivät lähtisi talvella merelle. Viime keväänä kunnanvaltuusto "
        "päätti korjata rakennuksen, koska sade tuli katosta sisään. Työt kestivät kauemmin kuin oli suunniteltu, "
        "sillä kivet oli tuotava veneellä saarelle asti."
    ),
    "zh": (
        "那座老灯塔自从大风暴之后就立在北边的悬崖上，由一户人家照看。每天傍晚，守塔人的女儿沿着窄窄的楼梯走上去，擦干净镜片，然后点亮灯火。"
        "港口的渔民说，如果没有这盏灯，他们冬天就不敢再出海了。去年春天，因为雨水从屋顶漏进来，镇上决定修理这座建筑。工程比预想的时间长，"
        "因为石头必须用小船一块一块运过去。到了秋天，孩子们又可以在塔下玩耍，老人们坐在墙边讲从前的故事，远处的船只也重新看见了光。"
    ),
    "ja": (
        "古い灯台は大嵐の年から北の崖の上に立っていて、小さな家族が世話をしている。毎晩、灯台守の娘が狭い階段を上り、レンズを磨いて明かりをともす。"
        "港の漁師たちは、この光がなければ冬に海へ出られないと話している。去年の春、屋根から雨が入るようになったので、町はこの建物を直すことに決めた。"
        "石を船で運ばなければならず、工事は思ったより長くかかった。秋になると子どもたちは塔の下で遊び、老人は昔の話を聞かせた。"
    ),
    "th": (
        "ประภาคารเก่าตั้งอยู่บนหน้าผาทางเหนือมาตั้งแต่ปีที่มีพายุใหญ่ และมีครอบครัวเล็ก ๆ คอยดูแล ทุกเย็นลูกสาวของคนเฝ้าประภาคารจะเดินขึ้นบันไดแคบ "
        "เช็ดเลนส์แล้วจุดไฟ ชาวประมงในท่าเรือบอกว่าถ้าไม่มีแสงนี้พวกเขาคงไม่กล้าออกทะเลในฤดูหนาว เมื่อฤดูใบไม้ผลิที่แล้ว "
        "สภาตำบลตัดสินใจซ่อมอาคารเพราะฝนรั่วลงมาจากหลังคา งานใช้เวลานานกว่าที่คิดไว้ เนื่องจากต้องขนหินมาทางเรือ"
    ),
    "hi": (
        "पुराना प्रकाशस्तंभ बड़े तूफ़ान के साल से उत्तरी चट्टान पर खड़ा है और एक छोटा परिवार उसकी देखभाल करता है। हर शाम रखवाले की बेटी संकरी सीढ़ियाँ "
        "चढ़ती है, शीशे साफ़ करती है और बत्ती जलाती है। बंदरगाह के मछुआरे कहते हैं कि इस रोशनी के बिना वे सर्दियों में समुद्र में नहीं जाते। पिछले वसंत "
        "में परिषद ने इमारत की मरम्मत का फ़ैसला किया, क्योंकि बारिश का पानी छत से अंदर आ रहा था। काम सोच से ज़्यादा लंबा चला।"
    ),
    "ar": (
        "تقف المنارة القديمة على الجرف الشمالي منذ عام العاصفة الكبيرة، وتعتني بها عائلة صغيرة. في كل مساء تصعد ابنة الحارس الدرج الضيق وتنظف "
        "العدسات ثم تشعل الضوء. يقول الصيادون في الميناء إنهم لن يخرجوا إلى البحر في الشتاء من دون هذا الضوء. في الربيع الماضي قرر المجلس إصلاح "
        "المبنى لأن المطر كان يدخل من السقف. استمرت الأعمال أطول مما كان متوقعا لأن الحجارة كان يجب أن تنقل بالقارب من الساحل."
    ),
}


@pytest.mark.parametrize("code", STORIES)
def test_a_plain_text_of_any_language_passes_the_default_rules(code):
    """Every one of these was dropped by English rules."""
    assert judge([STORIES[code]], QualityRules()) == [None]


@pytest.mark.parametrize("code", ["zh", "ja", "th", "de"])
def test_what_is_no_text_is_refused_in_any_language(code):
    story = STORIES[code]
    sentence = story[: 110 if code == "de" else 60]
    assert judge([sentence], QualityRules()) == ["min_words"]
    assert judge(["\n".join([story, story])], QualityRules()) == ["max_repeated_lines"]
    assert judge([sentence * 40], QualityRules())[0].startswith(("max_top", "max_repeated"))


def test_what_was_not_applied_is_told():
    found = judgements([STORIES["th"], STORIES["hi"], STORIES["de"]], QualityRules())
    assert found[0].language == "no spaces"
    assert "min_mean_word" in found[0].not_applied
    assert (found[1].language, found[1].not_applied) == ("hi", ("min_stop_words",))
    assert (found[2].language, found[2].not_applied) == ("de", ())


def test_frequent_words_of_the_wrong_language_do_not_count():
    """A German list of words is no text, though its language is known."""
    words = [
        f"{a}{b}" for a in ("Haus", "Schiff", "Brücken", "Straßen") for b in ("bau", "tor", "bild", "recht", "markt")
    ]
    rules = QualityRules(max_mean_word=None)
    assert judge([" ".join([*words, *(f"{w}e" for w in words), *(f"{w}en" for w in words)])], rules) == [
        "min_stop_words"
    ]
    assert all(len(own) >= 8 for own in FREQUENT.values())


def test_characters_of_a_word_are_those_of_the_script():
    expected = {"zh": 2, "ja": 2, "th": 4}
    assert {code: characters_per_word(text) for code, text in STORIES.items()} == {
        code: expected.get(code) for code in STORIES
    }
    assert characters_per_word("plain") is None
    assert characters_per_word("A text with one word, 灯塔, of another script in it.") is None


def corpus_of(folder, texts, stages, **source):
    (folder / "documents.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts), "utf-8")
    own = Source(name="web", path=str(folder / "documents.jsonl"), **source)
    return Corpus(name="c", sources=(own,), stages=tuple(stages))


def test_a_stage_that_drops_most_says_which_rule_did(tmp_path):
    rules = Quality(min_stop_words=9)
    corpus = corpus_of(tmp_path, [STORIES["de"], STORIES["zh"], "short"], [rules])
    report = describe(build(corpus, tmp_path / "out"), tmp_path / "out")
    (loss, *applied) = [note for note in report["notes"] if note.startswith("quality")]
    assert loss.startswith("quality dropped 2 of 3 documents of source web (min_stop_words 1, min_words 1)")
    assert "write 'min_stop_words: null' under quality, or write 'skip: [quality]' at the source" in loss
    rules = "min_mean_word, max_mean_word, min_alphabetic_words, min_stop_words"
    said = f"quality: not applied where they say nothing of the language: {rules} (documents: no spaces 1)"
    assert applied == [said]
    with pytest.raises(TokenworthError, match=r"quality dropped 3 \(min_words 3\)"):
        build(corpus_of(tmp_path, ["a", "b", "c"], [Quality()]), tmp_path / "none")


def test_a_ledger_tells_rules_that_say_nothing():
    ledger = Ledger()
    documents = [Document(text, code, "web") for code, text in STORIES.items()]
    assert len(Quality()(documents, ledger)) == len(documents)
    told = ledger.facts["rules that say nothing of a language"]
    assert (told["min_stop_words: hi"], told["min_stop_words: no spaces"]) == (1, 3)


# -- decontamination ----------------------------------------------------------------------------------------------

WORDS = [
    "café",
    "naïve",
    "über",
    "façade",
    "crème",
    "brûlée",
    "Zürich",
    "señor",
    "élève",
    "garçon",
    "Ångström",
    "smörgås",
    "déjà",
    "coöperate",
    "piñata",
]


def task_file(folder, texts):
    rows = [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(texts)]
    (folder / "task").mkdir(exist_ok=True)
    for part, own in {"train": rows[::2] + rows[1:9:2], "test": rows}.items():
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in own)
        (folder / "task" / f"{part}.jsonl").write_text(lines, "utf-8")
    return str(folder / "task")


def task_texts(n=40):
    rng = random.Random(0)
    return [
        f"{' '.join(rng.choices(WORDS, k=9))} call +49 30 {rng.randint(1000000, 9999999)} or write to "
        f"{rng.choice(WORDS[:1])}{i}@example.com {' '.join(rng.choices(WORDS, k=4))}"
        for i in range(n)
    ]


FORMS = {
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "upper case": str.upper,
    "invisible characters": lambda text: text.replace("a", "a\u200b"),
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "a" <= c <= "z" else c for c in text),
}


@pytest.mark.parametrize("form", FORMS)
def test_task_texts_are_found_in_any_form(tmp_path, form):
    texts = [" ".join(random.Random(i).choices(WORDS, k=20)) for i in range(20)]
    task = load_task(task_file(tmp_path, texts))
    found = contamination([f"Before. {FORMS[form](text)} After." for text in texts], task)
    assert set(found[found["split"] == "test"]["document"]) == set(range(20))
    assert all(found["start"] < 30)


ORDERS = {
    "before": [Decontaminate, Normalise, Redact],
    "between": [Normalise, Decontaminate, Redact],
    "after, as in the manual": [Normalise, Redact, Decontaminate],
    "after another normal form": [lambda: Normalise(lower=True, diacritics=False), Redact, Decontaminate],
    "without redaction": [Normalise, Decontaminate],
}


@pytest.mark.parametrize("order", ORDERS)
def test_task_texts_are_dropped_whatever_went_before(tmp_path, order):
    """Behind `redact` half of them were kept: telephone numbers and addresses stand in every run of 13 words."""
    texts = task_texts()
    task = task_file(tmp_path, texts)
    stages = [Decontaminate(tasks=(task,)) if kind is Decontaminate else kind() for kind in ORDERS[order]]
    spoilt = [unicodedata.normalize("NFD" if i % 2 else "NFC", text) for i, text in enumerate(texts)]
    clean = [f"The lighthouse keeper number {i} walked home along the shore and thought of the sea." for i in range(5)]
    corpus = corpus_of(tmp_path, [*spoilt, *clean], stages)
    flow = build(corpus, tmp_path / "out")
    report = describe(flow, tmp_path / "out")
    assert report["output"]["documents"] == 5
    assert {(row["split"], row["texts"]) for row in report["contamination"] if row["split"] == "test"} == {("test", 40)}


def test_sources_that_skip_a_stage_are_looked_at_as_they_are(tmp_path):
    texts = task_texts(8)
    task = task_file(tmp_path, texts)
    sources = []
    for name, skip in (("plain", ("redact",)), ("redacted", ())):
        (tmp_path / f"{name}.txt").write_text("\n\n".join([*texts, "One clean document about the sea."]), "utf-8")
        sources.append(Source(name=name, path=str(tmp_path / f"{name}.txt"), documents="paragraphs", skip=skip))
    corpus = Corpus(name="c", sources=tuple(sources), stages=(Redact(), Decontaminate(tasks=(task,))))
    assert describe(build(corpus, tmp_path / "out"), tmp_path / "out")["output"]["documents"] == 2


def test_comparable_leaves_plain_text_alone():
    for text in ("plain", "déjà vu", "灯塔"):
        assert comparable(text) is text or comparable(text) == text
    assert comparable("ﬁne") == "fine"
