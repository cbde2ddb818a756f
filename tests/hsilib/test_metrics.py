"""Accuracies against scikit-learn, and the traps that published code fell into."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference

from hsilib.metrics import confusion_matrix, metrics_from_confusion


@st.composite
def labels(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Truth and prediction, which may leave classes out, and K."""
    n_classes = draw(st.integers(2, 7))
    n = draw(st.integers(1, 60))
    pairs = st.lists(st.integers(1, n_classes), min_size=n, max_size=n)
    return np.array(draw(pairs)), np.array(draw(pairs)), n_classes


@given(labels())
def test_against_scikit_learn(example: tuple[NDArray[np.int64], NDArray[np.int64], int]) -> None:
    truth, predicted, n_classes = example
    every = np.arange(1, n_classes + 1)
    confusion = confusion_matrix(truth, predicted, n_classes)
    assert np.array_equal(confusion, reference.confusion_matrix(truth, predicted, labels=every))

    measured = metrics_from_confusion(confusion)
    tested = np.unique(truth)
    assert measured.overall_accuracy == pytest.approx(reference.accuracy_score(truth, predicted))
    recalls = reference.recall_score(truth, predicted, labels=tested, average=None, zero_division=0)
    assert measured.average_accuracy == pytest.approx(recalls.mean())
    assert [measured.per_class_recall[k - 1] for k in tested] == pytest.approx(list(recalls))
    untested = np.setdiff1d(every, tested)
    assert all(measured.per_class_recall[k - 1] is None for k in untested)
    if np.unique(np.concatenate([truth, predicted])).size > 1:
        assert measured.kappa == pytest.approx(reference.cohen_kappa_score(truth, predicted))
    assert measured.confusion == confusion.tolist()


def test_swapped_arguments_trap() -> None:
    """AA is the mean recall. With the arguments of the confusion matrix swapped it becomes the mean precision."""
    truth = np.array([1] * 8 + [2] * 2)
    predicted = np.array([1] * 4 + [2] * 4 + [2] * 2)
    confusion = confusion_matrix(truth, predicted, 2)
    assert confusion.tolist() == [[4, 4], [0, 2]]
    recall, precision = (4 / 8 + 2 / 2) / 2, (4 / 4 + 2 / 6) / 2
    assert metrics_from_confusion(confusion).average_accuracy == pytest.approx(recall)
    assert metrics_from_confusion(confusion.T).average_accuracy == pytest.approx(precision)
    assert metrics_from_confusion(confusion).per_class_recall == [0.5, 1.0]


def test_a_class_without_test_pixels_has_no_recall_and_does_not_lower_the_average() -> None:
    confusion = confusion_matrix(np.array([1, 1, 3]), np.array([1, 2, 3]), 3)
    measured = metrics_from_confusion(confusion)
    assert measured.per_class_recall == [0.5, None, 1.0]
    assert measured.average_accuracy == 0.75


def test_kappa_in_closed_form() -> None:
    """po = 0.7, pe = 0.5 · 0.6 + 0.5 · 0.4 = 0.5, so κ = 0.4."""
    measured = metrics_from_confusion(np.array([[40, 10], [20, 30]]))
    assert measured.kappa == pytest.approx(0.4)


@pytest.mark.parametrize(("confusion", "kappa"), [([[5, 0], [0, 5]], 1), ([[0, 5], [5, 0]], -1), ([[4, 0], [6, 0]], 0)])
def test_kappa_at_its_ends(confusion: list[list[int]], kappa: float) -> None:
    assert metrics_from_confusion(np.array(confusion)).kappa == pytest.approx(kappa)


def test_a_single_class_in_truth_and_prediction() -> None:
    measured = metrics_from_confusion(np.array([[7, 0], [0, 0]]))
    assert (measured.overall_accuracy, measured.average_accuracy, measured.kappa) == (1.0, 1.0, 1.0)


def test_small_label_types_do_not_overflow() -> None:
    """Labels are uint8 on disk; row times K passes 255 from 16 classes on."""
    truth = np.arange(1, 101, dtype=np.uint8)
    assert np.array_equal(confusion_matrix(truth, truth, 100), np.eye(100, dtype=int))
