import numpy as np

from counterweight.evidence.label_issues import find_label_issues


def test_a_confident_score_against_the_label_is_an_issue() -> None:
    targets = np.array([[1], [1], [0], [0], [0], [1]])
    scores = np.array([[0.9], [0.8], [0.1], [0.2], [0.95], [0.05]])
    issues = find_label_issues(list("abcdef"), ["sea"], targets, scores, is_single_label=False)
    assert issues[["image_id", "issue", "label", "score"]].to_numpy().tolist() == [
        ["e", "missing", "sea", 0.95],
        ["f", "surplus", "sea", 0.05],
    ]


def test_a_score_below_the_mean_of_the_class_is_no_issue() -> None:
    """The mean score of images with the label is 0.8, so 0.7 is not confidently present."""
    targets, scores = np.array([[1], [1], [0], [0]]), np.array([[0.9], [0.7], [0.7], [0.1]])
    assert find_label_issues(list("abcd"), ["sea"], targets, scores, is_single_label=False).empty


def test_unknown_cells_are_no_issue() -> None:
    targets, scores = np.array([[1], [0], [-1]]), np.array([[0.9], [0.1], [0.99]])
    assert find_label_issues(list("abc"), ["sea"], targets, scores, is_single_label=False).empty


def test_with_one_label_per_image_the_wrong_class_is_surplus_and_the_right_one_missing() -> None:
    targets = np.eye(3, dtype=int)[[0, 0, 1, 1, 2, 0]]
    scores = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.1, 0.9, 0], [0.2, 0.8, 0], [0, 0.1, 0.9], [0.05, 0.95, 0]])
    issues = find_label_issues(list("abcdef"), ["cat", "dog", "fox"], targets, scores, is_single_label=True)
    assert issues[["image_id", "issue", "label"]].to_numpy().tolist() == [
        ["f", "surplus", "cat"],
        ["f", "missing", "dog"],
    ]


def test_most_flipped_cells_are_found_and_few_right_ones_are_listed() -> None:
    rng = np.random.default_rng(0)
    true = rng.random((1000, 3)) < 0.3
    scores = np.clip(np.where(true, 0.85, 0.15) + rng.normal(scale=0.1, size=true.shape), 0.01, 0.99)
    flipped = rng.random(true.shape) < 0.05
    ids = [f"{row}" for row in range(1000)]
    issues = find_label_issues(ids, list("abc"), (true ^ flipped).astype(int), scores, is_single_label=False)
    listed = {(row.image_id, row.label) for row in issues.itertuples()}
    expected = {(ids[row], "abc"[column]) for row, column in np.argwhere(flipped)}
    assert len(listed & expected) / len(expected) > 0.6
    assert len(listed & expected) / len(listed) > 0.95
