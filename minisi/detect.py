"""The detector: is an answer wrong, and does the model know?  Reads completions, never calls the model.

Verdicts: `unparsable` (no end, or not `steps|answer`), `wrong` and `right` (the exact-answer check), and `unsure`: right, but less confident than
a threshold.  Confidence comes from token probabilities: the completion's least certain token, since one weak step spoils an answer, and the question's
least likely one and their product, since a model can be wrong and sure where it has never been (Arora et al. 2021); Platt scaling (1999) joins them."""
from collections.abc import Sequence
from typing import Any, NamedTuple
import numpy as np
from .generate import Completion
from .tasks import check

class Verdict(NamedTuple):
    """What became of one answer: its kind, and how sure the model was, 0 to 1."""
    kind: str
    confidence: float

Weights = tuple[float, ...]  # of the scaling: one for each feature
RAW: Weights = (1.0, 0.0, 0.0, 0.0)  # no scaling: the probability of the least certain token

class Detector(NamedTuple):
    """What is fitted: the weights of the scaling and, for each of `scores`, the value below which an answer is unsure."""
    weights: Weights
    thresholds: dict[str, float]

def features(completions: Sequence[Completion]) -> np.ndarray:
    """(N, 4): log odds of the completion's least certain token; log probability of the question's least likely one, and of all of it; 1."""
    sure = np.clip([min(c.probabilities) for c in completions], 1e-7, 1 - 1e-7)
    question = [np.log(np.clip([1.0, *c.prompt_probabilities], 1e-7, 1)) for c in completions]
    return np.stack([np.log(sure / (1 - sure)), [q.min() for q in question], [q.sum() for q in question], np.ones(len(completions))], 1)

def confidence(x: np.ndarray, weights: Weights) -> np.ndarray:
    """(N,) probabilities of being right from (N, 4) features: the logistic function of their weighted sum."""
    return 1 / (1 + np.exp(-np.clip(x @ np.array(weights), -30, 30)))

def fit_weights(x: np.ndarray, right: np.ndarray, decay: float = 0.01) -> Weights:
    """Logistic regression of features (N, 4) by Newton's method; the decay keeps it finite where no answer is wrong."""
    w = np.zeros(x.shape[1])
    for _ in range(20):
        p = confidence(x, w)
        hessian = x.T @ (x * (p * (1 - p))[:, None]) + decay * np.eye(len(w))
        w = w - np.linalg.solve(hessian, x.T @ (p - right) + decay * w)
    return tuple(w.tolist())

def scores(completions: Sequence[Completion], weights: Weights) -> dict[str, np.ndarray]:
    """(N,) scores from 0 to 1 by name: `scaled`, which is the confidence in use, and four plain ones to hold it against."""
    logs = [np.log(np.clip(c.probabilities, 1e-7, 1)) for c in completions]
    plain = {"least_certain_token": [x.min() for x in logs], "mean_log_probability": [x.mean() for x in logs], "product": [x.sum() for x in logs]}
    plain["mean_entropy"] = [-c.entropy for c in completions]
    return {"scaled": confidence(features(completions), weights), **{name: np.exp(np.array(values)) for name, values in plain.items()}}

def kind(answer: str, completion: Completion) -> str:
    """`right`, `wrong` or `unparsable`, which a completion without an end is too; with no answer to hold it against, "", nothing is wrong."""
    found = check(answer, completion.text) if completion.finished else "unparsable"
    return "right" if found == "wrong" and not answer else found

def judge(answers: Sequence[str], completions: Sequence[Completion], detector: Detector) -> list[Verdict]:
    """The verdict on each completion."""
    kinds, threshold = map(kind, answers, completions), detector.thresholds["scaled"]
    sure = confidence(features(completions), detector.weights).tolist()
    return [Verdict("unsure" if k == "right" and s < threshold else k, s) for k, s in zip(kinds, sure)]

def auroc(scores: np.ndarray, right: np.ndarray) -> float:
    """Probability that a right answer scores above a wrong one, ties counting half (Mann-Whitney U); 0.5 if one kind is missing."""
    n, m = int(right.sum()), int((~right).sum())
    if n == 0 or m == 0:
        return 0.5
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]  # ties share their mean rank, from 1
    return float((rank[right].sum() - n * (n + 1) / 2) / (n * m))

def ece(scores: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: mean |accuracy - confidence| over equal-width bins, weighted by size (Guo et al. 2017, eq. 3)."""
    place = np.minimum((scores * bins).astype(int), bins - 1)
    gap = np.bincount(place, right - scores, bins)
    return float(np.abs(gap).sum() / max(1, len(scores)))

def fit_threshold(scores: np.ndarray, right: np.ndarray, beta: float = 1.0) -> float:
    """The confidence below which "this is wrong" has the highest F-beta, in which recall counts beta times; 0, which flags nothing, where no answer is wrong."""
    order = np.argsort(scores, kind="stable")
    wrong = np.cumsum(~right[order])
    if not len(scores) or wrong[-1] == 0:
        return 0.0
    f = (1 + beta**2) * wrong / (np.arange(1, len(scores) + 1) + beta**2 * wrong[-1])
    ordered = scores[order]
    f[:-1][ordered[1:] == ordered[:-1]] = 0  # a threshold can't part equal scores
    best = int(f.argmax())
    return float(ordered[best : best + 2].mean()) if best + 1 < len(ordered) else float(np.nextafter(ordered[best], 2))

def fit(right: Sequence[bool], completions: Sequence[Completion], threshold: float = -1.0, beta: float = 1.0) -> Detector:
    """The detector for completions of which some are right; a threshold that is not negative is taken for the scaled score as it is."""
    truth = np.array(right, dtype=bool)
    weights = fit_weights(features(completions), truth)
    thresholds = {name: fit_threshold(score, truth, beta) for name, score in scores(completions, weights).items()}
    return Detector(weights, thresholds if threshold < 0 else {**thresholds, "scaled": threshold})

def measure(detector: Detector, right: Sequence[bool], completions: Sequence[Completion], bins: int = 10) -> dict[str, Any]:
    """How good the detector is on answers that had no part in its fit, for a row of metrics.jsonl.
    For each score AUROC, ECE, AURC (the mean risk over all coverages, Geifman and El-Yaniv 2017), and precision and recall of "this is wrong"
    at its threshold.  For the scaled one `risk` at 10 coverages and `reliability`: how many, mean confidence and accuracy of 10 equal-width bins."""
    found, truth, n = {}, np.array(right, dtype=bool), len(right)
    for name, score in scores(completions, detector.weights).items():
        flagged = score < detector.thresholds[name]
        risk, hits = np.cumsum(~truth[np.argsort(-score, kind="stable")]) / np.arange(1, n + 1), int((flagged & ~truth).sum())
        found[name] = dict(auroc=auroc(score, truth), ece=ece(score, truth), aurc=float(risk.sum() / max(1, n)))
        found[name] |= dict(precision=hits / max(1, int(flagged.sum())), recall=hits / max(1, int((~truth).sum())))
        if name == "scaled":
            place = np.minimum((score * bins).astype(int), bins - 1)
            size = np.bincount(place, minlength=bins)
            reliability = np.stack([size, *(np.bincount(place, x, bins) / np.maximum(size, 1) for x in (score, truth))], 1).round(4).tolist()
            extra = dict(doubtful_wrong=hits, confident_wrong=int((~truth).sum()) - hits, risk=np.append(risk, 0.0)[-(-n * np.arange(1, bins + 1) // bins) - 1].round(4).tolist())
    return dict(auroc=found["scaled"]["auroc"], ece=found["scaled"]["ece"], detector=found, reliability=reliability, **extra)
