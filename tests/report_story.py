"""A made-up story with the shapes and sizes of a real one, for the tests of the report."""

from report_results import PWNED, adapted, decided, ranking
from tokenworth.report.story import Example, Measured, Story


def story() -> Story:
    """Everything that was fitted on one task, with hostile names and texts."""
    rows = [("bag of words", "words", 0.52), (f"probe on random weights {PWNED}", "random", 0.45),
            ("probe on smollm2-135m", "trained", 0.7), ("advised: LoRA of smollm2-135m", "advised", 0.74)]  # fmt: skip
    measured = [
        Measured(name=name, kind=kind, texts=400, f1=f1, f1_low=f1 - 0.05, f1_high=f1 + 0.05, seconds=60 * f1)
        for name, kind, f1 in rows
    ]
    guesses = {"smollm2-135m": "positive", "bag of words": PWNED}
    return Story(
        question="Is it <b>good</b>?",
        sampled="400 of 2,784 texts.",
        headline=f"pretraining pays {PWNED}",
        sentences=["Taught by 400 texts it reaches 0.7.", f"So pretraining pays {PWNED}."],
        measured=measured,
        ranking=ranking(),
        decision=decided(labels=False),
        run=adapted(),
        examples=[Example(text=f"a text {PWNED} " * 20, label="positive", guesses=guesses)] * 3,
        pages={"the decision": "decision/report.html"},
        seconds=300.0,
    )
