"""tokenworth adapt, predict, suggest, compare and export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from tokenworth.adaptation.adapt_call import AdaptCall
from tokenworth.adaptation.answer_settings import AnswerSettings
from tokenworth.adaptation.export.export_settings import ExportSettings
from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.adaptation.suggest_settings import SuggestCall
from tokenworth.backbones.model_choice import ModelSource
from tokenworth.cli.assess_commands import TASK, loaded_task
from tokenworth.cli.console import is_main_process, print_json, print_lines, print_result, say, tell, write_page
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.errors import SettingError
from tokenworth.report.terminal.progress import progress_report
from tokenworth.settings import Count, read_settings, with_changes
from tokenworth.tasks.task_source import TaskSource

ConfigFile = Annotated[Path | None, said("YAML file of settings; options go before it.")]
_Best = Annotated[bool, said("Keep the best step on a validation part: --selection best.")]
_Retrained = Annotated[bool, said("For scratch: a tokenizer trained on the task.")]
_Run = Annotated[Path, said("Folder that adapt wrote.")]
_Table = Annotated[Path, said("A .csv, .tsv, .jsonl or .parquet file.")]
_Pool = Annotated[Path, said("A .csv, .tsv, .jsonl or .parquet file of texts without labels.")]
_ToLabel = Annotated[Path | None, said("File for the chosen texts, with an empty column label; by default printed.")]
_To = Annotated[Path | None, said("File for the rows with predictions; by default they are printed.")]
_Folder = Annotated[Path, said("Folder for what is exported; one that an export wrote is replaced.")]
_Moved = Annotated[str | None, said("Where the backbone lies now; by default where it lay when the run was saved.")]
_Why = Annotated[int, said("Training texts to name for each prediction of a probe, kept by --keep-training.", Count)]
_COLUMNS = Options(TaskSource, "text", "text_pair")


def wished(config: Path | None, options: Given) -> dict[str, Any]:
    """Settings of routes: those of a file, and what goes before them."""
    return with_changes({} if config is None else read_settings(config), options.of(AdaptConfig))


@takes(AdaptCall, Options(AdaptConfig, but=("tokenizer",)), TASK, Output)
def adapt(
    task: str,
    /,
    *,
    route: str,
    model: str | None = None,
    config: ConfigFile = None,
    max_texts: int | None = None,
    best: _Best = False,
    retrain_tokenizer: _Retrained = False,
    options: Given,
) -> None:
    from tokenworth.adaptation import make_config

    changes = options.of(AdaptConfig) | ({"selection": "best"} if best else {})
    settings = make_config(config, **changes, tokenizer="retrained" if retrain_tokenizer else None)
    loaded = loaded_task(task, options)
    loaded = loaded.sample(max_texts, seed=options.get("seed", 0)) if max_texts is not None else loaded
    from tokenworth.adaptation import adapt as run

    with progress_report(quiet=options.quiet) as progress:
        result = run(model, loaded, route, config=settings, progress=progress, **options.of(AdaptCall))
    if is_main_process():
        write_page(result, options.out)
        print_result(result, json=options.json)


@takes(
    _COLUMNS,
    Options(ModelSource, "device", "allow_pickle"),
    Options(AdaptConfig, "budget", "key_variable"),
    AnswerSettings,
    Options(Output, "json", "quiet"),
)
def predict(
    out: _Run, texts: _Table, /, *, model: _Moved = None, to: _To = None, why: _Why = 0, options: Given
) -> None:
    from tokenworth.adaptation import load_classifier
    from tokenworth.adaptation.evaluation.abstention import rules_of
    from tokenworth.adaptation.storage.prediction_table import (
        nested,
        predicted_table,
        spreadsheet_safe,
        write_predictions,
    )

    rules = rules_of(out, AnswerSettings(**options.of(AnswerSettings)))
    asked: dict[str, Any] = {name: options.get(name) for name in ("budget", "key_variable")}
    classifier = load_classifier(out, model=model, device=options.get("device", "auto"), **asked)
    table = predicted_table(classifier, texts, why=why, place=str(out), rules=rules, **options.of(TaskSource))
    for sentence in rules.sentences(table):
        say(sentence)
    if to is not None:
        write_predictions(table, to)
        say(f"predictions: {to}")
    elif options.json:
        tell(nested(table).to_json(orient="records", force_ascii=False, indent=1))
    else:
        tell(spreadsheet_safe(table).to_csv(index=False).rstrip("\n"))


@takes(SuggestCall, Options(Output, "json", "quiet"))
def suggest(run: _Run, pool: _Pool, /, *, to: _ToLabel = None, options: Given) -> None:
    from tokenworth.adaptation import suggest as choose
    from tokenworth.adaptation.storage.prediction_table import spreadsheet_safe, write_predictions

    with progress_report(quiet=options.quiet) as progress:
        table = choose(run, pool, progress=progress, **options.of(SuggestCall))
    if to is not None:
        write_predictions(table, to)
        say(f"{len(table):,} texts to label: {to}")
    elif options.json:
        tell(table.to_json(orient="records", force_ascii=False, indent=1))
    else:
        tell(spreadsheet_safe(table).to_csv(index=False).rstrip("\n"))


@takes(Options(AdaptConfig, "metric"), Options(Output, "json"))
def compare(runs: Annotated[list[Path], said("Folders that adapt wrote.")], /, *, options: Given) -> None:
    from tokenworth.adaptation import AdaptResult
    from tokenworth.adaptation.evaluation.comparison import compare_results
    from tokenworth.report.terminal.tables import comparison_table, show

    if len(runs) < 2:
        raise SettingError("compare needs two runs or more; give the folders that tokenworth adapt wrote")
    metric = options.get("metric", "weighted_f1")
    rows = compare_results({str(run): AdaptResult.load(run) for run in runs}, metric=metric)
    print_json(rows) if options.json else show(comparison_table(rows, metric))


@takes(ExportSettings, Options(Output, "json"))
def export(out: _Run, to: _Folder, /, *, model: _Moved = None, options: Given) -> None:
    from tokenworth.adaptation.export.export_run import export_run

    exported = export_run(out, to, ExportSettings(**options.of(ExportSettings)), model=model)
    print_lines(exported.facts(), exported.sentences, json=options.json)
