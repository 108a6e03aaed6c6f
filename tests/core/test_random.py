"""Random streams."""

import numpy as np
import pytest

from sparseopt._core._random import as_generator, spawn


def _draw(random_state):
    return as_generator(random_state).random(3).tolist()


def test_integer_is_a_seed():
    assert _draw(3) == _draw(3) == _draw(np.int64(3))
    assert _draw(3) == np.random.default_rng(3).random(3).tolist()
    assert _draw(3) != _draw(4)


def test_none_is_fresh_and_leaves_the_global_state_alone():
    state = np.random.mtrand._rand
    before = state.get_state()[1].copy()
    assert _draw(None) != _draw(None)
    np.testing.assert_array_equal(state.get_state()[1], before)


def test_generator_is_passed_through():
    rng = np.random.default_rng(0)
    assert as_generator(rng) is rng


def test_random_state_gives_a_new_stream_each_time():
    state = np.random.RandomState(0)
    first, second = _draw(state), _draw(state)
    assert first != second
    state = np.random.RandomState(0)
    assert [_draw(state), _draw(state)] == [first, second]


@pytest.mark.parametrize(
    "seed", [lambda: 5, lambda: np.random.default_rng(5), lambda: np.random.RandomState]
)
def test_spawned_streams_differ_and_repeat(seed):
    def streams():
        state = seed()
        state = state(5) if state is np.random.RandomState else state
        return [rng.random() for rng in spawn(state, 5)]

    assert len(set(streams())) == 5
    assert streams() == streams()


def test_a_stream_does_not_depend_on_how_many_there_are():
    assert spawn(5, 3)[1].random() == spawn(5, 9)[1].random()


def test_none_spawned_is_none():
    assert spawn(0, 0) == []
