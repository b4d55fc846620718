# Reference values for the metrics' conformance run: reads cases as JSON on stdin, computes each with the library that
# defines it, writes JSON on stdout. It only calls libraries: a metric whose library is missing ends the run with an error.
# Not a test by itself: metrics.ts makes the cases and compares.
import importlib.util
import json
import sys
import types

import nltk.translate.nist_score
import numpy
import regex
import sacrebleu
import scipy.stats
import sklearn.metrics
from pycocoevalcap.cider.cider_scorer import CiderScorer
from rouge_score import rouge_scorer
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from transformers.data.metrics import squad_metrics


def t5_metrics():
    """The `t5` package's own metrics module. Its top package wants TensorFlow, which these metrics do not use, so the
    package is entered without running its __init__."""
    found = importlib.util.find_spec("t5")
    for name, path in (("t5", ""), ("t5.evaluation", "/evaluation")):
        package = types.ModuleType(name)
        package.__path__ = [found.submodule_search_locations[0] + path]
        sys.modules[name] = package
    return importlib.import_module("t5.evaluation.metrics")


def official_script(position):
    """An official script, which no package carries, where its path is given as this argument; else None. MRQA's only wants a
    downloader from AllenNLP for its command line, which is not run here."""
    path = sys.argv[position] if position < len(sys.argv) else ""
    if not path:
        return None
    for name in ("allennlp", "allennlp.common", "allennlp.common.file_utils"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["allennlp.common.file_utils"].cached_path = None
    spec = importlib.util.spec_from_file_location(f"official_{position}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


t5 = t5_metrics()
squad = official_script(1)
mrqa = official_script(2)
tokenize = Tokenizer13a()
rouge = rouge_scorer.RougeScorer(["rougeL"])


def labels(case):
    y, p = case["targets"], case["predictions"]
    valid = [int(each) if each in ("0", "1") else -1 for each in p]
    binary = all(each in ("0", "1") for each in y)
    out = {
        "sklearn accuracy": 100 * sklearn.metrics.accuracy_score(y, p),
        "sklearn matthews": 100 * sklearn.metrics.matthews_corrcoef(y, p),
        "sklearn macroF1": 100 * sklearn.metrics.f1_score(y, p, labels=["0", "1", "2"], average="macro", zero_division=0),
        "t5 macroF1": t5.mean_multiclass_f1(3)([int(each) for each in y], [int(each) if each in ("0", "1", "2") else 9 for each in p])["mean_3class_f1"],
    }
    if binary:
        out["t5 f1"] = t5.f1_score_with_invalid([int(each) for each in y], valid)["f1"]
        groups = case["groups"]
        rows = [{"group": g, "value": int(each)} for g, each in zip(groups, y)]
        values = [{"value": each} for each in valid]
        out["t5 f1a"] = t5.multirc_f1_over_all_answers(rows, values)["f1"]
        out["t5 groupExactMatch"] = t5.mean_group_metric(t5.all_match)(rows, values)["exact_match"]
        if -1 not in valid:
            out["sklearn f1"] = 100 * sklearn.metrics.f1_score([int(each) for each in y], valid)
    return out


def numbers(case):
    y = [float(each) for each in case["targets"]]
    p = [float(each) for each in case["predictions"]]
    return {
        "scipy pearson": 100 * scipy.stats.pearsonr(y, p)[0],
        "scipy spearman": 100 * scipy.stats.spearmanr(y, p)[0],
        "t5 pearson": 100 * t5.pearson_corrcoef(y, p)["pearson_corrcoef"] / t5_scale(),
        "t5 spearman": 100 * t5.spearman_corrcoef(y, p)["spearman_corrcoef"] / t5_scale(),
    }


def t5_scale():
    """Whether this release of t5 gives correlations as percentages: asked of the library, on a perfect correlation."""
    return t5.pearson_corrcoef([1.0, 2.0, 4.0], [1.0, 2.0, 4.0])["pearson_corrcoef"]


def answers(case):
    predictions, references = case["predictions"], case["references"]
    scores = t5.squad(references, predictions)
    out = {"t5 squadF1": scores["f1"], "t5 exactMatch": scores["em"]}
    if squad is not None:
        qas = [{"id": str(i), "answers": [{"text": each} for each in r]} for i, r in enumerate(references)]
        scores = squad.evaluate([{"paragraphs": [{"qas": qas}]}], {str(i): p for i, p in enumerate(predictions)})
        out["squad script squadF1"] = scores["f1"]
        out["squad script exactMatch"] = scores["exact_match"]
    if mrqa is not None:
        ids = [str(i) for i in range(len(predictions))]
        scores = mrqa.evaluate(dict(zip(ids, references)), dict(zip(ids, predictions)))
        out["mrqa script squadF1"] = scores["f1"]
        out["mrqa script exactMatch"] = scores["exact_match"]
    if case["normal"]:
        # These are version 2's, which differ from version 1.1's only where a normalised answer is empty.
        best = lambda score: numpy.mean([max(score(a, p) for a in r) for p, r in zip(predictions, references)])
        out["transformers squadF1"] = 100 * best(squad_metrics.compute_f1)
        out["transformers exactMatch"] = 100 * best(squad_metrics.compute_exact)
    return out


def texts(case):
    predictions, references = case["predictions"], case["references"]
    most = max(len(each) for each in references)
    columns = [[each[k] if k < len(each) else None for each in references] for k in range(most)]
    lowered = lambda text: tokenize(text.lower().rstrip())
    cider = CiderScorer()
    for p, r in zip(predictions, references):
        cider += (lowered(p), [lowered(each) for each in r])
    return {
        "sacrebleu bleu": sacrebleu.corpus_bleu(predictions, columns).score,
        "rouge-score rougeL": 100 * numpy.mean([rouge.score_multi(r, p)["rougeL"].fmeasure for p, r in zip(predictions, references)]),
        "nltk nist": nltk.translate.nist_score.corpus_nist([[lowered(each).split() for each in r] for r in references], [lowered(p).split() for p in predictions], 5),
        "pycocoevalcap cider": cider.compute_score()[0],
    }


def python_text(case):
    """What Python itself does where a template is defined by it: `repr`, the `regex` module, numpy's rounding."""
    return {
        "repr": [str({"text": each, "answer_start": list(range(len(each)))}) for each in case["lists"]],
        "pad": [regex.sub(r"\s+", " ", regex.sub(r"([^_\s\p{N}\p{L}\p{M}])", r" \1 ", each)) for each in case["texts"]],
        "tenth": [str(numpy.round(float(each) * 5 / 5, decimals=1).item()) for each in case["scores"]],
        "fifth": [str((numpy.round(each * 5) / 5).round(1).item()) for each in numpy.array(case["scores"], dtype=float)],
        "tokens": [tokenize(each.rstrip()) for each in case["texts"]],
    }


kinds = {"labels": labels, "numbers": numbers, "answers": answers, "texts": texts, "python": python_text}
json.dump([kinds[case["kind"]](case) for case in json.load(sys.stdin)], sys.stdout)
