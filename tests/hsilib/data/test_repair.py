"""A cube is damaged on purpose, found to be so, mended and compared with the truth."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tensorly.datasets
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat
from threadpoolctl import threadpool_limits

from hsilib.data.lost_byte import Damage, byte_histogram, detect_lost_byte
from hsilib.data.repair import repair_lost_byte, repair_scene
from hsilib.data.scene import Scene
from hsilib.errors import InputError
from onepercent.report.repair_check import judge_repair


def smooth_cube(seed=0, shape=(40, 40, 50), noise=8.0, low=100.0, high=9000.0, dtype=np.uint16):
    """Four smooth spectra mixed by smooth maps, plus noise: what neighbouring bands predict well."""
    rng = np.random.default_rng(seed)
    rows, cols, bands = shape
    x = np.linspace(0, 1, bands)
    centres, widths = rng.uniform(0, 1, 4), rng.uniform(0.1, 0.4, 4)
    spectra = np.exp(-(((x - centres[:, None]) / widths[:, None]) ** 2))
    maps = rng.gamma(1.0, size=(rows, cols, 4))
    cube = maps @ spectra
    cube = low + (high - low) * cube / cube.max() + rng.normal(0, noise, shape)
    return np.rint(np.clip(cube, np.iinfo(dtype).min, np.iinfo(dtype).max)).astype(dtype)


def lose_byte(cube, lost, became):
    """What a text-mode transfer does to the bytes of a file."""
    raw = bytearray(np.ascontiguousarray(cube).tobytes())
    return np.frombuffer(bytes(raw).replace(bytes([lost]), bytes([became])), dtype=cube.dtype).reshape(cube.shape)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads that wait for each other cost more than these small products."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def clean():
    return smooth_cube()


@pytest.fixture(scope="module")
def indian_pines():
    return np.asarray(tensorly.datasets.load_indian_pines().tensor).astype(np.uint16)


@pytest.fixture(scope="module")
def indian_pines_repair(indian_pines):
    return repair_lost_byte(indian_pines)


def real_file(name, key):
    folder = os.environ.get("HSILIB_DATA")
    if not folder or not (Path(folder) / name).is_file():
        pytest.skip(f"HSILIB_DATA names no folder that holds {name}")
    return loadmat(Path(folder) / name)[key]


# --- histogram -----------------------------------------------------------------------------------------------------


def test_the_histogram_counts_low_and_high_bytes_whatever_their_order():
    values = np.array([[[0x0D0A, 0x000A]]], dtype="<u2")
    for cube in (values, values.astype(">u2")):
        counts = byte_histogram(cube)
        assert counts.shape == (2, 256)
        assert counts[0, 10] == 2
        assert counts[1, 13] == 1
        assert counts[1, 0] == 1
        assert counts.sum() == 4


def test_the_histogram_has_a_row_for_each_byte_and_takes_negatives_as_twos_complement():
    assert byte_histogram(np.zeros((2, 2, 2), np.uint8)).shape == (1, 256)
    assert byte_histogram(np.zeros((2, 2, 2), np.int32)).shape == (4, 256)
    assert byte_histogram(np.array([-2], np.int16))[:, 254:].tolist() == [[1, 0], [0, 1]]


# --- detection -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i2", ">i2", "<i4", ">i4", "<u4", "<i8"])
def test_the_loss_is_found_in_every_integer_type(clean, dtype):
    damage = detect_lost_byte(lose_byte(clean.astype(dtype), 13, 10))
    assert damage.found
    assert (damage.lost_byte, damage.became) == (13, 10)
    assert damage.confidence > 10


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 255), st.integers(0, 255))
def test_any_pair_of_bytes_is_named(lost, became):
    if lost == became:
        return
    damage = detect_lost_byte(lose_byte(smooth_cube(3), lost, became))
    assert damage.found
    assert (damage.lost_byte, damage.became) == (lost, became)


def test_suspicious_values_are_counted_in_each_byte(clean):
    damaged = lose_byte(clean, 13, 10)
    damage = detect_lost_byte(damaged)
    assert damage.n_suspicious == np.count_nonzero(damaged >> 8 == 10)
    assert damage.n_suspicious_low == np.count_nonzero(damaged & 255 == 10)


def test_the_loss_is_found_in_8_bit_values():
    damage = detect_lost_byte(lose_byte(smooth_cube(low=0, high=255, noise=3, dtype=np.uint8), 60, 50))
    assert (damage.found, damage.lost_byte, damage.became) == (True, 60, 50)
    assert damage.n_suspicious == 0
    assert damage.n_suspicious_low > 0


@pytest.mark.parametrize("seed", range(20))
def test_clean_cubes_raise_no_alarm(seed):
    assert not detect_lost_byte(smooth_cube(seed)).found
    assert not detect_lost_byte(smooth_cube(seed, shape=(12, 12, 20), noise=2)).found
    assert not detect_lost_byte(smooth_cube(seed, low=0, high=255, dtype=np.uint8)).found
    assert not detect_lost_byte(smooth_cube(seed, low=-600, high=5000, dtype=np.int16)).found
    assert not detect_lost_byte(smooth_cube(seed, low=1000, high=1100, noise=1, dtype=np.int32)).found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["u1", "i1", "<u2", ">i2", "i4"]),
    st.integers(1, 400),
    st.sampled_from([1, 2, 3, 7, 10]),
)
def test_clean_cubes_of_any_range_and_step_raise_no_alarm(seed, dtype, spread, multiple):
    rng = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    values = np.rint(rng.normal(50, spread, (24, 24, 30))) * multiple
    assert not detect_lost_byte(np.clip(values, limits.min, limits.max).astype(dtype)).found


def test_a_stretched_8_bit_cube_with_holes_raises_no_alarm():
    cube = smooth_cube(low=0, high=200, noise=3, dtype=np.uint8)
    for factor in (201 / 200, 1.05, 1.25):
        assert not detect_lost_byte(np.rint(cube * factor).astype(np.uint8)).found


def test_a_byte_that_is_missing_but_went_nowhere_raises_no_alarm(clean):
    cube = clean.copy()
    gone = cube & 255 == 13
    cube[gone] += np.random.default_rng(0).integers(1, 200, np.count_nonzero(gone)).astype(np.uint16)
    assert np.count_nonzero(cube & 255 == 13) == 0
    damage = detect_lost_byte(cube)
    assert not damage.found
    assert "13" in damage.reason


@pytest.mark.parametrize(
    "cube",
    [
        np.zeros((20, 20, 30), np.uint16),
        np.full((30, 30, 30), 2570, np.int16),
        np.zeros((0, 4, 4), np.uint16),
        lose_byte(smooth_cube(shape=(6, 6, 10)), 13, 10),
        np.arange(512, dtype=np.uint16).reshape(8, 8, 8),
    ],
    ids=["zero", "constant", "empty", "small", "one of each"],
)
def test_constant_and_tiny_cubes_are_too_little_to_tell(cube):
    damage = detect_lost_byte(cube)
    assert not damage.found
    assert "too few" in damage.reason
    assert (damage.lost_byte, damage.became, damage.n_suspicious, damage.n_suspicious_low) == (None, None, 0, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, bool])
@pytest.mark.parametrize("function", [byte_histogram, detect_lost_byte, repair_lost_byte])
def test_other_than_integers_are_refused(function, dtype):
    with pytest.raises(InputError, match="integers"):
        function(np.ones((3, 3, 3), dtype))


def test_salinas_a_raises_no_alarm():
    assert not detect_lost_byte(real_file("SalinasA_corrected.mat", "salinasA_corrected")).found


# --- repair --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lost", "became"), [(13, 10), (20, 25), (4, 30)])
@pytest.mark.parametrize("dtype", ["<u2", ">i2", "<i4"])
def test_the_high_byte_comes_back_exactly(clean, lost, became, dtype):
    truth = clean.astype(dtype)
    damaged = lose_byte(truth, lost, became)
    kept = damaged.copy()
    repair = repair_lost_byte(damaged)
    assert repair.cube.dtype == truth.dtype
    assert not np.shares_memory(repair.cube, damaged)
    np.testing.assert_array_equal(damaged, kept)
    np.testing.assert_array_equal(repair.cube >> 8, truth >> 8)
    # Only the low byte still differs, and only where it was lost.
    left = repair.cube != truth
    assert (truth[left] & 255 == lost).all()
    assert (repair.cube[left] & 255 == became).all()
    assert repair.n_left_low >= np.count_nonzero(left)
    np.testing.assert_array_equal(repair.changed, damaged >> 8 != truth >> 8)
    assert repair.n_left == 0
    assert np.nanmax(repair.residual_scale_dn) < 20


@pytest.mark.parametrize(
    ("pair", "limits"),
    [
        ((11, 10), {"low": 100, "high": 9000, "dtype": np.uint16}),  # a step of 256 DN only
        ((255, 12), {"low": -700, "high": 5000, "dtype": np.int16}),  # −1…−256 become 3327…3072
    ],
)
def test_hard_pairs_come_back_but_for_a_pixel_or_two_that_lost_most_of_its_bands(pair, limits):
    truth = smooth_cube(**limits)
    damaged = lose_byte(truth, *pair)
    repair = repair_lost_byte(damaged)
    was_wrong = damaged >> 8 != truth >> 8
    still_wrong = repair.cube >> 8 != truth >> 8
    assert was_wrong.sum() > 1000
    assert still_wrong.sum() < 0.015 * was_wrong.sum()
    suspicious = damaged >> 8 == pair[1]
    assert (suspicious.sum(axis=2)[still_wrong.any(axis=2)] > 25).all()


def test_a_run_of_wrong_bands_is_not_taken_for_right():
    # A flat stretch that lost its high byte in more bands than predict a band looks right to its neighbours.
    rng = np.random.default_rng(0)
    bands = np.arange(90)
    brightness = smooth_cube(2, shape=(40, 40, 1), high=4500)
    step_up = 1 + 0.3 * rng.random((40, 40, 1)) * (bands > 50)
    truth = brightness * np.linspace(0.95, 1.05, 90) * step_up + rng.normal(0, 6, (40, 40, 90))
    truth = np.rint(truth).astype(np.uint16)
    damaged = lose_byte(truth, 13, 10)
    wrong = np.count_nonzero(damaged >> 8 != truth >> 8, axis=2)
    assert wrong.max() > 30
    np.testing.assert_array_equal(repair_lost_byte(damaged).cube >> 8, truth >> 8)


def test_a_low_byte_far_enough_from_its_replacement_comes_back_as_well(clean):
    repair = repair_lost_byte(lose_byte(clean, 200, 10))
    wrong = np.count_nonzero(repair.cube != clean)
    assert wrong == 0
    assert not detect_lost_byte(repair.cube).found


def test_noise_that_is_large_but_bearable_leaves_few_errors():
    truth = smooth_cube(5, noise=120.0)
    damaged = lose_byte(truth, 13, 10)
    repair = repair_lost_byte(damaged)
    was_wrong, changed = damaged >> 8 != truth >> 8, repair.changed
    assert (changed & was_wrong).sum() / changed.sum() > 0.99
    assert (changed & was_wrong).sum() / was_wrong.sum() > 0.99
    assert repair.n_ambiguous > 0
    assert np.nanmedian(repair.residual_scale_dn) == pytest.approx(120, rel=0.15)


@pytest.mark.parametrize("pair", [(13, 10), (200, 10), (20, 25)])
def test_a_second_repair_changes_nothing(clean, pair):
    once = repair_lost_byte(lose_byte(clean, *pair))
    for damage in (None, once.damage):
        twice = repair_lost_byte(once.cube, damage)
        assert twice.n_changed == 0
        np.testing.assert_array_equal(twice.cube, once.cube)
    assert detect_lost_byte(once.cube).n_suspicious == 0


def test_a_cube_without_damage_is_returned_as_it_is(clean):
    repair = repair_lost_byte(clean)
    np.testing.assert_array_equal(repair.cube, clean)
    assert (repair.n_changed, repair.n_left, repair.n_left_low, repair.damage.found) == (0, 0, 0, False)


def test_a_verdict_on_the_whole_file_mends_a_part_of_it(clean):
    damaged = lose_byte(clean, 13, 10)
    part = (slice(0, 12), slice(0, 12))
    repair = repair_lost_byte(damaged[part], detect_lost_byte(damaged))
    np.testing.assert_array_equal(repair.cube >> 8, clean[part] >> 8)


def test_a_cube_whose_bands_do_not_predict_each_other_is_refused():
    noise = np.random.default_rng(0).integers(0, 9000, (40, 40, 30)).astype(np.uint16)
    damaged = lose_byte(noise, 13, 10)
    with pytest.raises(InputError, match="no band is predicted"):
        repair_lost_byte(damaged)


def test_a_single_band_is_refused_and_a_noisy_band_is_left(clean):
    damaged = lose_byte(clean, 13, 10)
    with pytest.raises(InputError, match="no band is predicted"):
        repair_lost_byte(damaged[..., 20:21], detect_lost_byte(damaged))
    truth = clean.copy()
    truth[..., 25] = np.random.default_rng(1).integers(0, 9000, clean.shape[:2])
    damaged = lose_byte(truth, 13, 10)
    repair = repair_lost_byte(damaged)
    assert not repair.changed[..., 25].any()
    assert repair.residual_scale_dn[25] > 192
    assert repair.n_left == np.count_nonzero(damaged[..., 25] >> 8 == 10)
    others = np.arange(50) != 25
    np.testing.assert_array_equal(repair.cube[..., others] >> 8, truth[..., others] >> 8)


def test_8_bit_values_have_no_high_byte_and_are_left():
    damaged = lose_byte(smooth_cube(low=0, high=255, noise=3, dtype=np.uint8), 53, 50)
    repair = repair_lost_byte(damaged)
    np.testing.assert_array_equal(repair.cube, damaged)
    assert repair.n_left_low == np.count_nonzero(damaged == 50)


def test_a_cube_must_have_three_axes(clean):
    with pytest.raises(InputError, match="rows, columns, bands"):
        repair_lost_byte(clean[0])


def test_a_scene_is_repaired_once_and_says_so(clean):
    ground_truth = np.ones(clean.shape[:2], dtype=np.uint8)
    scene = Scene("made", lose_byte(clean, 13, 10), ground_truth, ("all",))
    repaired = repair_scene(scene)
    assert repaired.name == "made-repaired"
    assert "10 in place of 13" in repaired.note
    np.testing.assert_array_equal(repaired.cube >> 8, clean >> 8)
    assert repair_scene(repaired) is repaired


# --- an independent copy as judge ----------------------------------------------------------------------------------


def test_the_judge_finds_what_was_decided_wrongly(clean):
    copy = np.clip(np.rint(clean * 0.03 - 5), 0, 255).astype(np.uint8)
    damaged = lose_byte(clean, 13, 10)
    repair = repair_lost_byte(damaged)
    fair = judge_repair(damaged, repair, copy)
    assert (fair.precision, fair.recall, fair.n_wrongly_changed, fair.n_wrongly_kept) == (1.0, 1.0, 0, 0)
    assert fair.n_decided + fair.n_undecided == repair.damage.n_suspicious
    assert fair.n_decided > 0.95 * repair.damage.n_suspicious
    at = tuple(np.argwhere(repair.changed)[0])
    repair.changed[at] = False
    spoilt = judge_repair(damaged, repair, copy)
    assert spoilt.n_wrongly_kept == 1
    assert spoilt.wrong[at]
    assert spoilt.recall < 1.0


def test_the_judge_refuses_what_it_cannot_judge(clean):
    repair = repair_lost_byte(clean)
    with pytest.raises(InputError, match="nothing to judge"):
        judge_repair(clean, repair, np.zeros(clean.shape, np.uint8))
    with pytest.raises(InputError, match="must agree"):
        judge_repair(clean, repair, np.zeros((2, 2, 2), np.uint8))


# --- the real scene ------------------------------------------------------------------------------------------------


def test_indian_pines_as_published_has_lost_byte_13(indian_pines):
    counts = byte_histogram(indian_pines)
    assert counts[:, 13].tolist() == [0, 0]
    assert counts[:, 10].tolist() == [41_910, 246_321]
    damage = detect_lost_byte(indian_pines)
    assert (damage.found, damage.lost_byte, damage.became) == (True, 13, 10)
    assert damage.suspicious_per_byte == (41_910, 246_321)
    assert damage.confidence > 100


def test_indian_pines_is_repaired(indian_pines, indian_pines_repair):
    repair = indian_pines_repair
    # Near-ties may fall either way with another linear algebra library.
    assert repair.n_changed == pytest.approx(116_671, abs=25)
    assert repair.changed.any(axis=(0, 1)).sum() == 84
    assert repair.changed.any(axis=2).mean() == pytest.approx(0.9991, abs=0.0002)
    assert (repair.cube[repair.changed] - indian_pines[repair.changed] == 768).all()
    assert (repair.n_left, repair.n_left_low) == (0, 41_910)
    assert repair.n_ambiguous < 400
    assert repair.residual_scale_dn[0] < 192
    assert np.nanmedian(repair.residual_scale_dn) == pytest.approx(13.1, abs=0.2)


def test_indian_pines_repaired_is_left_alone(indian_pines_repair):
    again = repair_lost_byte(indian_pines_repair.cube)
    assert again.n_changed == 0
    assert again.damage.n_suspicious == 0
    assert again.damage.n_suspicious_low == 41_910
    assert isinstance(again.damage, Damage)


def test_an_independent_copy_confirms_the_repair_of_indian_pines(indian_pines, indian_pines_repair):
    judgement = judge_repair(indian_pines, indian_pines_repair, real_file("IP_200_M.mat", "data_M"))
    assert judgement.n_decided > 230_000
    assert judgement.precision > 0.999
    assert judgement.recall > 0.9998
