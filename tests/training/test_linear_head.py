import subprocess
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from counterweight.base.errors import InputError
from counterweight.metrics.training_history import best_epoch
from counterweight.training import linear_head
from counterweight.training.epoch_metrics import epoch_metrics
from counterweight.training.linear_head import PENALTIES, fit_linear_head
from counterweight.training.losses import CellLoss, Objective, build_loss

Part = tuple[Tensor, Tensor]

# In a new process, in which nothing has loaded these yet.
PROGRAM = """
import sys, torch
from counterweight.training import arm
from counterweight.training.linear_head import fit_linear_head
from counterweight.training.losses import Objective, build_loss

features, targets = torch.arange(8.0)[:, None], torch.tensor([[0.0]] * 3 + [[1.0]] * 2 + [[0.0]] * 3)
loss = build_loss("bce", targets.numpy().astype("int8"), weighted=False)
part = [features, targets]
fit_linear_head(torch.nn.Linear(1, 1), Objective(loss, loss, "sigmoid", "loss"), part, part)
print(sorted({name.split(".")[0] for name in sys.modules} & {"lightning", "torchmetrics"}))
print([name for name in sys.modules if name.startswith("torch._dynamo")])
"""
N_TRAIN, N_FEATURES, N_LABELS = 90, 6, 3


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def images(n: int, seed: int) -> NDArray[np.float32]:
    """Features on different scales and around different means."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, N_FEATURES)) * [0.01, 1, 30, 1, 1, 5] + [0, 40, 7, -3, 0.5, 0]).astype(np.float32)


def log_odds(features: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """Log-odds of three labels, of which the last is rare: linear in the features, and noise."""
    rng = np.random.default_rng(seed)
    slopes = np.array([[2, 0, 0], [0, 2, 1], [0, 0, 2], [0, 0, 0], [1, 0, 0], [0, 1, 0]])
    standardized = (features - [0, 40, 7, -3, 0.5, 0]) / [0.01, 1, 30, 1, 1, 5]
    return np.asarray(standardized @ slopes + rng.logistic(size=(len(features), N_LABELS)) + [0, 0.5, -3])


def several(n: int, seed: int) -> Part:
    """Images with any number of labels."""
    features = images(n, seed)
    return torch.from_numpy(features), torch.from_numpy((log_odds(features, seed) > 0).astype(np.float32))


def classes(n: int, seed: int) -> Part:
    """Images of one class each."""
    features = images(n, seed)
    return torch.from_numpy(features), torch.eye(N_LABELS)[log_odds(features, seed).argmax(axis=1)]


def objective(targets: Tensor, loss: str = "bce", *, weighted: bool = False, monitor: str = "loss") -> Objective:
    plain, scores = ("cross_entropy", "softmax") if loss == "cross_entropy" else ("bce", "sigmoid")
    y_true = targets.numpy().astype(np.int8)
    return Objective(
        build_loss(loss, y_true, weighted=weighted), build_loss(plain, y_true, weighted=False), scores, monitor
    )


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(N_FEATURES, N_LABELS)


def logits(head: nn.Module, features: Tensor) -> NDArray[np.float64]:
    with torch.inference_mode():
        return head.eval()(features).double().numpy()


def only(penalty: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_head, "PENALTIES", (penalty,))


def regression(penalty: float, n: float, balanced: bool = False) -> LogisticRegression:
    """Scikit-learn's: C times the sum over images, instead of their mean, plus half the squared norm."""
    return LogisticRegression(
        C=1 / (penalty * n), class_weight="balanced" if balanced else None, tol=1e-10, max_iter=10_000
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", [1.0, 0.1, 0.01, 0.001])
def test_scores_of_labels_are_those_of_scikit_learns_logistic_regressions(
    penalty: float, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(penalty, monkeypatch)
    (features, targets), (unseen, _) = train, validation = several(N_TRAIN, 0), several(40, 1)
    head, scaler = linear(), StandardScaler().fit(features.double().numpy())
    fit_linear_head(head, objective(targets, weighted=weighted), train, validation)
    for j in range(N_LABELS):
        expected = regression(penalty, N_TRAIN, weighted).fit(scaler.transform(features.double()), targets[:, j])
        scores = expected.predict_proba(scaler.transform(unseen.double()))[:, 1]
        np.testing.assert_allclose(expit(logits(head, unseen)[:, j]), scores, atol=1e-3)
        coefficients = head.weight[j].detach().numpy() * scaler.scale_
        np.testing.assert_allclose(coefficients, expected.coef_[0], atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", [1.0, 0.1, 0.01, 0.001])
def test_scores_of_classes_are_those_of_scikit_learns_multinomial_regression(
    penalty: float, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(penalty, monkeypatch)
    (features, targets), (unseen, _) = train, validation = classes(N_TRAIN, 0), classes(40, 1)
    head, scaler = linear(), StandardScaler().fit(features.double().numpy())
    fit_linear_head(head, objective(targets, "cross_entropy", weighted=weighted), train, validation)
    model = regression(penalty, N_TRAIN, weighted).fit(scaler.transform(features.double()), targets.argmax(dim=1))
    expected = model.predict_proba(scaler.transform(unseen.double()))
    np.testing.assert_allclose(softmax(logits(head, unseen), axis=1), expected, atol=1e-3)


def test_each_penalty_has_its_entry_with_the_losses_at_its_minimum() -> None:
    (features, targets), (unseen, unseen_targets) = train, validation = several(N_TRAIN, 0), several(40, 1)
    history = fit_linear_head(linear(), objective(targets), train, validation)
    assert [row["epoch"] for row in history] == list(range(1, 10))
    assert [row["penalty"] for row in history] == list(PENALTIES)
    assert PENALTIES == (1.0, 0.316228, 0.1, 0.031623, 0.01, 0.003162, 0.001, 0.000316, 0.0001)
    scaler = StandardScaler().fit(features.double().numpy())
    for row in history:
        losses: dict[str, list[float]] = {"train_loss": [], "validation_loss": []}
        for j in range(N_LABELS):
            model = regression(row["penalty"], N_TRAIN).fit(scaler.transform(features.double()), targets[:, j])
            for name, seen, there in (
                ("train_loss", features, targets), ("validation_loss", unseen, unseen_targets)
            ):  # fmt: skip
                scores = model.predict_proba(scaler.transform(seen.double()))
                losses[name].append(log_loss(there[:, j], scores, labels=[0, 1]))
        for name, values in losses.items():
            assert row[name] == pytest.approx(np.mean(values), abs=1e-3)


def test_entries_have_the_metrics_that_epochs_have() -> None:
    train, validation = several(N_TRAIN, 0), several(40, 1)
    history = fit_linear_head(linear(), objective(train[1]), train, validation)
    assert {tuple(row) for row in history} == {
        (
            *("epoch", "penalty", "train_loss", "validation_loss"),
            *("train_accuracy", "train_precision", "train_recall", "train_f1"),
            *("validation_accuracy", "validation_precision", "validation_recall", "validation_f1"),
            *("validation_auc", "validation_average_precision"),
        )
    }


def test_weights_are_in_the_train_loss_and_not_in_the_validation_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    only(0.1, monkeypatch)
    train, validation = several(N_TRAIN, 0), several(40, 1)
    head, weighted = linear(), objective(train[1], weighted=True)
    (row,) = fit_linear_head(head, weighted, train, validation)
    with torch.inference_mode():
        losses = weighted.loss(head(train[0]), train[1]), weighted.validation_loss(head(validation[0]), validation[1])
    assert (row["train_loss"], row["validation_loss"]) == pytest.approx([loss.item() for loss in losses], rel=1e-4)
    (plain,) = fit_linear_head(linear(), objective(train[1]), train, validation)
    assert row["train_loss"] != pytest.approx(plain["train_loss"], rel=0.01)


def test_missing_cells_take_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    only(0.1, monkeypatch)
    features, targets = several(N_TRAIN, 0)
    targets[:30, 0] = -1
    targets[50:60, 1] = -1
    targets[70:75] = -1
    n_known = 3 * N_TRAIN - 30 - 10 - 3 * 5
    head, scaler = linear(), StandardScaler().fit(features.double().numpy())
    fit_linear_head(head, objective(targets), (features, targets), several(40, 1))
    for j in range(N_LABELS):
        known = targets[:, j] >= 0
        # The mean is over the known cells of all labels.
        model = regression(0.1, n_known / N_LABELS)
        model.fit(scaler.transform(features[known].double()), targets[known, j])
        expected = model.predict_proba(scaler.transform(features.double()))[:, 1]
        np.testing.assert_allclose(expit(logits(head, features)[:, j]), expected, atol=1e-3)


def test_head_after_a_batch_norm_gives_the_scores_of_a_plain_head() -> None:
    train, validation = several(N_TRAIN, 0), several(40, 1)
    plain, head = linear(), nn.Sequential(nn.BatchNorm1d(N_FEATURES, affine=False), linear())
    histories = [fit_linear_head(each, objective(train[1]), train, validation) for each in (plain, head)]
    assert histories[0] == histories[1]
    np.testing.assert_allclose(logits(head, validation[0]), logits(plain, validation[0]), atol=1e-4)


def test_batch_norm_of_a_head_standardizes_the_train_images() -> None:
    train, norm = several(N_TRAIN, 0), nn.BatchNorm1d(N_FEATURES, affine=False)
    fit_linear_head(nn.Sequential(norm, linear()), objective(train[1]), train, several(40, 1))
    assert torch.allclose(norm.running_mean, train[0].mean(dim=0), atol=1e-5)  # type: ignore[arg-type]
    assert torch.allclose(norm.running_var, train[0].var(dim=0, correction=0), rtol=1e-4)  # type: ignore[arg-type]


def test_result_has_the_same_bits_whatever_the_head_was_before() -> None:
    train, validation = several(N_TRAIN, 0), several(40, 1)
    heads = [linear(seed) for seed in (0, 0, 1)]
    histories = [fit_linear_head(head, objective(train[1]), train, validation) for head in heads]
    assert histories[0] == histories[1] == histories[2]
    for head in heads[1:]:
        assert torch.equal(head.weight, heads[0].weight)
        assert torch.equal(head.bias, heads[0].bias)


@pytest.mark.parametrize("normed", [False, True])
def test_feature_that_is_constant_in_train_changes_nothing(normed: bool) -> None:
    train, validation = several(N_TRAIN, 0), several(40, 1)
    plain, wide = linear(), nn.Linear(N_FEATURES + 1, N_LABELS)
    head = nn.Sequential(nn.BatchNorm1d(N_FEATURES + 1, affine=False), wide) if normed else wide

    def with_constant(part: Part, value: float) -> Part:
        return torch.cat([part[0], torch.full((len(part[0]), 1), value)], dim=1), part[1]

    expected = fit_linear_head(plain, objective(train[1]), train, validation)
    odd = with_constant(validation, 0.7)
    history = fit_linear_head(head, objective(train[1]), with_constant(train, 0.1), odd)
    assert wide.weight[:, -1].tolist() == [0.0, 0.0, 0.0]
    assert [row["validation_loss"] for row in history] == pytest.approx([row["validation_loss"] for row in expected])
    np.testing.assert_allclose(logits(head, odd[0]), logits(plain, validation[0]), atol=1e-3)


def test_label_that_no_train_image_has_gets_low_scores() -> None:
    features, targets = several(N_TRAIN, 0)
    targets[:, 1] = 0
    head = linear()
    fit_linear_head(head, objective(targets), (features, targets), several(40, 1))
    scores = expit(logits(head, features))
    assert np.isfinite(scores).all()
    assert scores[:, 1].max() < 0.01


@pytest.mark.parametrize("monitor", ["loss", "f1", "auc", "average_precision"])
def test_head_is_left_with_the_penalty_that_is_best_by_what_is_monitored(monitor: str) -> None:
    train, validation = several(N_TRAIN, 0), several(60, 1)
    head = linear()
    history = fit_linear_head(head, objective(train[1], monitor=monitor), train, validation)
    values = [row[f"validation_{monitor}"] for row in history]
    best = history[values.index((min if monitor == "loss" else max)(values))]
    assert best == best_epoch(history, monitor)
    with torch.inference_mode():
        seen = head(validation[0]), validation[1]
        metrics = epoch_metrics([seen], "sigmoid", ranked=True) | {
            "loss": build_loss("bce", np.ones((1, 3)), weighted=False)(*seen).item()
        }
    assert metrics == pytest.approx({name: best[f"validation_{name}"] for name in metrics}, abs=1e-5)


def test_best_penalty_need_not_be_the_first_or_the_last() -> None:
    train = several(40, 0)
    history = fit_linear_head(linear(), objective(train[1]), train, several(200, 1))
    assert PENALTIES[0] > best_epoch(history, "loss")["penalty"] > PENALTIES[-1]


@pytest.mark.parametrize("loss", ["focal", "asymmetric", "distribution_balanced"])
@pytest.mark.parametrize("weighted", [False, True])
def test_each_loss_is_minimized(loss: str, weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    only(0.01, monkeypatch)
    train, head = several(N_TRAIN, 0), linear()
    chosen = objective(train[1], loss, weighted=weighted)
    fit_linear_head(head, chosen, train, several(40, 1))
    deviation = train[0].std(dim=0, correction=0)

    def penalized() -> Tensor:
        norm = (head.weight * deviation).square().sum()
        value: Tensor = 3 * chosen.loss(head(train[0]), train[1]) + 0.01 / 2 * norm
        return value

    gradients: Sequence[Tensor] = torch.autograd.grad(penalized(), [head.weight, head.bias])
    # In units of standardized features; the head is in single precision.
    assert (gradients[0] / deviation - gradients[1][:, None] * train[0].mean(dim=0) / deviation).abs().max() < 1e-3
    assert gradients[1].abs().max() < 1e-3


@pytest.mark.parametrize(
    "head",
    [
        nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)),
        nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 3)),
        nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3)),
        nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3)),
    ],
    ids=["hidden layer", "two layers", "dropout", "batch norm of logits"],
)
def test_head_that_is_not_linear_is_refused(head: nn.Module) -> None:
    train = several(N_TRAIN, 0)
    with pytest.raises(InputError) as error:
        fit_linear_head(head, objective(train[1]), train, several(40, 1))
    assert str(error.value) == (
        "params.yaml: train.optimizer: lbfgs needs a linear head, which this model does not have. Set it to adam."
    )


def test_inputs_and_losses_stay_as_they_are() -> None:
    train, validation = several(N_TRAIN, 0), several(40, 1)
    before = [part.clone() for part in (*train, *validation)]
    losses = objective(train[1], weighted=True)
    fit_linear_head(linear(), losses, train, validation)
    assert all(torch.equal(part, old) for part, old in zip((*train, *validation), before, strict=True))
    assert isinstance(losses.loss, CellLoss)
    assert losses.loss.positive.dtype == torch.float32


def test_torchs_generator_is_left_alone() -> None:
    train, head = several(N_TRAIN, 0), linear()
    state = torch.get_rng_state()
    fit_linear_head(head, objective(train[1]), train, several(40, 1))
    assert torch.equal(torch.get_rng_state(), state)


def test_correlated_features_and_rare_labels_are_fitted_in_few_steps() -> None:
    rng, calls = np.random.default_rng(0), []
    mixed = (rng.normal(size=(400, 20)) * np.arange(1, 21) ** -1.5 @ rng.normal(size=(20, 20))).astype(np.float32)
    targets = (mixed[:, :3] + rng.normal(size=(400, 3)) > [0.5, 1.5, 2.5]).astype(np.float32)
    train, validation = (
        (torch.from_numpy(mixed[part]), torch.from_numpy(targets[part])) for part in (slice(300), slice(300, None))
    )
    goal = objective(train[1])
    goal.loss.register_forward_hook(lambda *_: calls.append(1))
    fit_linear_head(nn.Linear(20, 3), goal, train, validation)
    # 165, where coefficients that were not scaled by their curvatures took 932.
    assert len(calls) < 300


def test_a_linear_head_needs_neither_lightning_nor_the_compiler() -> None:
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True).stdout
    assert found == "[]\n[]\n"
