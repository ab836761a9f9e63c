"""Route prompt on a served model: the same words, examples and calibration, asked over HTTP.  Nothing learns.

words and template -> examples -> the first way of answering that the server knows -> price beforehand -> calibration
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from tokenworth.adaptation.job import Closing, Fitted, Job
from tokenworth.adaptation.routes.answer_forms import AnswerForm, forms_for
from tokenworth.adaptation.routes.endpoint_predictor import EndpointPredictor, Tally, refused
from tokenworth.adaptation.routes.prompt_calibration import EMPTY_TEXTS, contextual_bias, label_share_bias
from tokenworth.adaptation.routes.prompt_route import balanced_rows
from tokenworth.adaptation.routes.prompt_template import Template, class_words, system_line, template_of
from tokenworth.adaptation.routes.prompt_wording import Example
from tokenworth.adaptation.routes.similar_texts import SimilarTexts
from tokenworth.assessment.assessment_result import BackboneCard
from tokenworth.base.machine import cache_folder
from tokenworth.endpoints import Address, Endpoint, EndpointSettings, Refusal, address_of
from tokenworth.endpoints.http_client import GivenUpError
from tokenworth.endpoints.ledger import MILLION
from tokenworth.errors import EndpointError, SettingError
from tokenworth.settings.declarations import part_of
from tokenworth.tasks.split import sample

_log = logging.getLogger("tokenworth")
_CALIBRATION_TEXTS = 200
"""Training texts over which the classes get their shares."""


def fit_endpoint(job: Job) -> Fitted:
    """Prompts are worded, the way of answering is found, the price is predicted, the bias is measured if asked for.

    Raises:
        SettingError: settings that need a tokenizer or probabilities where there are none.
        EndpointError: the server gives no answers, or they would cost more than the budget.
    """
    config = job.config
    if job.devices.processes.size > 1:
        raise SettingError("several processes would ask a server the same; start the command once, without torchrun")
    if config.max_length is not None:
        raise SettingError("max-length counts tokens of a tokenizer, and that of an endpoint is not here; leave it out")
    predictor = _chosen(job)
    if (config.contextual or config.label_shares) and not predictor.form.has_probabilities:
        raise SettingError(
            f"contextual and label_shares shift probabilities, and the server gives none (its classes are read from "
            f"{predictor.form.name}); leave them out"
        )
    expected = _predict_price(job, predictor)
    predictor, shown = _calibrated(job, predictor), predictor.system
    facts = {
        "template": predictor.pattern,
        "words": list(predictor.form.words)[:200],
        "shots": len(predictor.examples) if predictor.similar is None else predictor.similar.shots,
        "contextual": config.contextual,
        "chat": predictor.form.chat,
        **({"system": shown} if shown else {}),
        **({"label_shares": True} if config.label_shares else {}),
        **({"nearest": {"by": "words"}} if predictor.similar is not None else {}),
    }
    return Fitted(
        predictor=predictor,
        card=_card(predictor.endpoint.address),
        parameters={"trainable": 0, "total": 0},
        facts=facts,
        closing=lambda: _closing(predictor, expected),
    )


def _card(address: Address) -> BackboneCard:
    """All that is known of a model on a server."""
    card = {"name": address.model, "source": address.url, "fingerprint": address.fingerprint, "dtype": "unknown"}
    return cast("BackboneCard", card)


def _chosen(job: Job) -> EndpointPredictor:
    """The first way of answering that works on the first test text; its answers are kept, as all are."""
    config, words, template = job.config, _words(job), template_of(job.task.name, job.config.template)
    endpoint = _endpoint(job)
    forms = forms_for(config.answers, tuple(words), chat=config.chat, summed=config.label_likelihood == "sum")
    said: Refusal | None = None
    for form in forms:
        predictor = _predictor(job, endpoint, form, template)
        (questions,) = predictor.questions(job.task.test.texts[:1])
        last = form is forms[-1]
        try:
            replies = endpoint.ask(questions, **({} if last else {"retries": min(1, config.retries)}))
        except GivenUpError:
            if last:
                raise
            continue
        said = next((reply for reply in replies if isinstance(reply, Refusal)), said)
        answered = [reply for reply in replies if not isinstance(reply, Refusal)]
        if len(answered) == len(replies) and form.works(answered):
            return predictor
    if said is not None and not endpoint.ledger.questions:
        raise refused(endpoint, said)
    if len(forms) == 1:
        raise EndpointError(
            f"{endpoint.address.url} answers, but not by {forms[0].name}, as was asked for; choose answers: auto"
        )
    return predictor


def _words(job: Job) -> list[str]:
    return class_words(job.task.name, job.task.label_names, job.config.words_of_classes)


def _endpoint(job: Job) -> Endpoint:
    config = job.config
    assert isinstance(job.model, str), "checked before"
    folder = job.folder
    if job.cache is not False:
        folder = cache_folder() if job.cache is True else Path(job.cache)
    settings = part_of(EndpointSettings, config)
    return Endpoint(address_of(job.model, config.url, config.key_variable), settings, folder, job.progress)


def _predictor(job: Job, endpoint: Endpoint, form: AnswerForm, template: Template) -> EndpointPredictor:
    config = job.config
    shots = min(config.shots, len(job.train_rows))
    nearest = config.examples == "nearest"
    train = job.train if shots else None
    similar = SimilarTexts(train.texts, train.labels, shots) if train is not None and nearest else None
    return EndpointPredictor(
        endpoint=endpoint,
        form=form,
        pattern=template.pattern,
        system=_system(config.system, form, template),
        examples=_drawn(job, form, shots),
        similar=similar,
        bias_C=None,
        prefix=config.prefix,
        tally=Tally(),
    )


def _system(given: str | None, form: AnswerForm, template: Template) -> str:
    """What is given, or in a chat the task and its classes; and how to answer, where that must be said."""
    if given is None:
        given = ""
        if form.chat:
            given = system_line(template, list(form.words))
            given = given.partition(" Answer with one of: ")[0] if form.instruction else given
    return "\n".join(part for part in (given, form.instruction) if part)


def _drawn(job: Job, form: AnswerForm, shots: int) -> list[Example]:
    """Those that a local model would be shown."""
    train = job.train
    rows = balanced_rows(train.labels, shots, job.seed)
    return [(train.texts[i], form.answers[int(train.labels[i])]) for i in rows]


def _calibration_texts(job: Job) -> list[str]:
    if job.config.contextual:
        return list(EMPTY_TEXTS)
    train = job.train
    if not job.config.label_shares:
        return []
    return train.take(sample(train.labels, _CALIBRATION_TEXTS, job.seed)).texts


def _predict_price(job: Job, predictor: EndpointPredictor) -> float:
    """Money that the run's answers will have cost, all told; nothing has been asked but the first text.

    Raises EndpointError: the budget does not reach.
    """
    validation = job.validation
    texts = [*job.task.test.texts, *_calibration_texts(job), *([] if validation is None else validation.texts)]
    endpoint = predictor.endpoint
    ahead, asked = 0.0, 0
    for start in range(0, len(texts), 1000):
        questions = [q for several in predictor.questions(texts[start : start + 1000]) for q in several]
        waiting = endpoint.unanswered(questions)
        asked += len(waiting)
        ahead += endpoint.predicted(waiting)
    endpoint.ledger.check(ahead, asked)
    expected = (endpoint.ledger.money or 0.0) + ahead
    if endpoint.ledger.money is not None:
        _log.info(f"{asked:,} questions to {endpoint.address.model}, predicted to cost {expected:.4g} in all")
    return expected


def _calibrated(job: Job, predictor: EndpointPredictor) -> EndpointPredictor:
    """With the bias that is asked for; texts whose answers name no class say nothing of it."""
    texts = _calibration_texts(job)
    if not texts:
        return predictor
    asked = replace(predictor, similar=None) if job.config.contextual else predictor  # as `prompt_route` has it
    scores_NC = asked.raw_scores(texts)
    scores_NC = scores_NC[np.isfinite(scores_NC).all(1)]
    if not len(scores_NC):
        raise EndpointError(
            "no answer about the texts of the calibration names a class; leave out contextual and label_shares"
        )
    if job.config.contextual:
        return replace(predictor, bias_C=contextual_bias(scores_NC))
    shares_C = np.bincount(job.train.labels, minlength=job.n_classes) / len(job.train)
    return replace(predictor, bias_C=label_share_bias(scores_NC, shares_C))


def _closing(predictor: EndpointPredictor, expected: float) -> Closing:
    """What is known when all has been asked."""
    endpoint, tally = predictor.endpoint, predictor.tally
    ledger, texts = endpoint.ledger, max(tally.texts, 1)
    million = ledger.prices.money(MILLION * ledger.tokens_in / texts, MILLION * ledger.tokens_out / texts)
    cost: dict[str, Any] = {
        "questions": ledger.questions,
        "questions_found": ledger.found,
        "questions_again": ledger.retries,
        "tokens_in": ledger.tokens_in,
        "tokens_out": ledger.tokens_out,
        "million_seconds": MILLION * ledger.seconds / texts / endpoint.settings.concurrency,
    }
    if ledger.money is not None:
        cost |= {"money": ledger.money, "money_predicted": expected, "million_money": million}
    facts = {
        "form": predictor.form.name,
        "texts": tally.texts,
        "unparsable": tally.unparsable,
        "refused": tally.refused,
    }
    return Closing({"endpoint": facts | {"said": tally.said}}, cost, _sentences(predictor, cost))


def _sentences(predictor: EndpointPredictor, cost: dict[str, Any]) -> tuple[str, ...]:
    form, tally, name = predictor.form, predictor.tally, predictor.endpoint.address.model
    read = {
        "scores": "the likelihoods of their words",
        "letters": "the log-probabilities of a letter each",
        "schema": "answers bound to their words, so that there are no probabilities",
        "text": "its answers in words, so that there are no probabilities",
    }
    asked = f"{cost['questions']:,} questions ({cost['questions_found']:,} answers were kept from before)"
    sentences = [f"{name} was asked {asked}; classes are read from {read[form.name]}."]
    if tally.unparsable or tally.refused:
        sentences.append(
            f"Of {tally.texts:,} texts it named no class for {tally.unparsable:,} and refused {tally.refused:,}; they "
            "count as wrong."
        )
    if "money" in cost:
        sentences.append(
            f"The answers cost {cost['money']:.4g}; a million such texts would cost {cost['million_money']:,.4g}."
        )
    return tuple(sentences)
