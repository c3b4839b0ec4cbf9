"""LoraHub's search on objectives whose best weights are known."""

import random
import subprocess
import sys
import textwrap
import threading
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from mdkif import BadInput, Progress, best
from mdkif.testing import Bowl, assert_conforms
from mdkif_router_lorahub import LoraHub, quiet_ngopt

TARGET = torch.tensor([0.9, -0.4, 0.2])


class Flat(Bowl):
    """Nothing is better than anything else."""

    def value(self, weights):
        return 1.0


class Broken(Bowl):
    """Fails at the third evaluation."""

    def evaluate_weights(self, weights, rows=None):
        if len(self.seen) == 2:
            raise ZeroDivisionError
        return super().evaluate_weights(weights)


def bowl(target=TARGET, kind=Bowl):
    return kind(target, examples=0)


def search(objective, seed=0, progress=None, **settings):
    return LoraHub(**settings).search(objective, seed, progress or Progress())


def l1(weights):
    return 0.05 * weights.abs().sum().item() / weights.numel()


def test_lorahub_conforms():
    assert_conforms("mdkif-router-lorahub")


def test_lorahub_defaults_are_lorahubs():
    assert LoraHub() == LoraHub(evaluations=40, bound=1.5, l1=0.05)


def test_lorahub_search_finds_weights_of_either_sign():
    objective = bowl()
    found = search(objective)
    torch.testing.assert_close(found.weights, TARGET, atol=0.1, rtol=0)
    assert found.weights[1] < -0.2
    assert found.value == pytest.approx(objective.value(found.weights), abs=1e-6), "the objective, without the L1 term"
    assert found.value < 0.1 * best(objective.references).value


def test_lorahub_search_starts_from_the_base_model():
    objective = bowl()
    search(objective, evaluations=3)
    assert objective.seen[0].tolist() == [0, 0, 0]


def test_lorahub_choice_has_the_least_loss_with_the_l1_term():
    """The term is as strong as the loss here, so that the least loss alone would be another candidate."""
    objective = bowl(torch.tensor([0.3, 0.3, -0.3]))
    found = search(objective, l1=1.0)
    with_term = min(objective.seen, key=lambda w: objective.value(w) + 20 * l1(w))
    without = min(objective.seen, key=objective.value)
    assert not torch.equal(with_term, without)
    assert torch.equal(found.weights, with_term)
    assert found.value < best(objective.references).value


def test_lorahub_l1_term_draws_the_weights_to_zero():
    free, drawn = (search(bowl(), l1=strength).weights.abs().sum() for strength in (0.0, 0.5))
    assert drawn < free - 0.1


@pytest.mark.parametrize("bound", [1.5, 0.3])
def test_lorahub_weights_do_not_pass_the_bound(bound):
    objective = bowl(torch.tensor([9.0, -9.0, 9.0]))
    search(objective, bound=bound, evaluations=60)
    assert max(weights.abs().max() for weights in objective.seen) <= bound + 1e-6
    nearest = min(objective.seen, key=objective.value)
    assert nearest.abs().min() > 0.8 * bound
    assert nearest.sign().tolist() == [1, -1, 1]


@pytest.mark.parametrize("evaluations", [1, 2, 5, 40, 150])
def test_lorahub_budget_is_kept_exactly(evaluations):
    objective = bowl()
    search(objective, evaluations=evaluations)
    assert len(objective.seen) == evaluations


@pytest.mark.parametrize(("evaluations", "takes"), [(-1, "a number from 0"), (0, "1 to 150"), (151, "1 to 150")])
def test_lorahub_budget_that_ngopt_cannot_take_is_refused(evaluations, takes):
    objective = bowl()
    with pytest.raises(BadInput, match=rf"\bevaluations .*{evaluations}\b.*: .*{takes}"):
        search(objective, evaluations=evaluations)
    assert objective.seen == []


@pytest.mark.parametrize("shape", [(1,), (4, 3), (12,)])
def test_lorahub_weights_may_have_any_number_and_shape(shape):
    target = torch.linspace(-1, 1, torch.Size(shape).numel()).reshape(shape) if shape != (1,) else torch.tensor([0.7])
    objective = bowl(target)
    found = search(objective)
    assert found.weights.shape == shape
    assert found.value < best(objective.references).value


def test_lorahub_reference_that_nothing_beats_is_the_result():
    objective = bowl(kind=Flat)
    assert search(objective, evaluations=10) is objective.references[0]
    corner = bowl(torch.tensor([0.0, 1.0, 0.0]))
    assert search(corner, evaluations=5).name == "skill 1"


def test_lorahub_random_states_are_left_alone_after_an_error():
    states = []
    for fail in (False, True):
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        if fail:
            with pytest.raises(ZeroDivisionError):
                search(bowl(kind=Broken))
        states.append((random.random(), np.random.rand(), torch.rand(1)))
    assert states[0] == states[1]


def test_lorahub_threads_do_not_stay_behind_also_after_an_error():
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError) as kept:  # what is kept of the error holds on to the search
        search(bowl(kind=Broken))
    search(bowl())
    assert threading.active_count() == before
    assert kept.traceback


def test_lorahub_first_import_of_nevergrad_draws_no_number_and_warns_of_nothing():
    """In a process of its own, where nevergrad was not imported before; it ends although an error is kept."""
    program = """
        import sys, warnings
        import numpy as np
        from mdkif_router_lorahub import quiet_ngopt
        assert "nevergrad" not in sys.modules
        warnings.simplefilter("error")
        np.random.seed(4)
        expected = np.random.rand()
        np.random.seed(4)
        try:
            with quiet_ngopt((3,), 1.5, 9, 0) as strategy:
                strategy.tell(strategy.ask(), 1.0)
                strategy.ask()
                raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            kept = error
        assert np.random.rand() == expected
        print("done")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


@pytest.mark.parametrize("evaluations", [1, 2, 40])
def test_lorahub_search_warns_of_nothing(evaluations):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        search(bowl(), evaluations=evaluations)
    assert [str(w.message) for w in seen] == []


def test_lorahub_warnings_of_others_still_reach_the_user():
    class Warning_(Bowl):
        def evaluate_weights(self, weights, rows=None):
            warnings.warn("The disk is nearly full.", stacklevel=1)
            return super().evaluate_weights(weights)

    with pytest.warns(UserWarning, match="nearly full") as seen:
        search(bowl(kind=Warning_), evaluations=4)
    assert not [w for w in seen if "COBYLA" in str(w.message)]


def test_lorahub_bar_moves_with_every_evaluation():
    moves = []

    class Watching(Progress):
        @contextmanager
        def task(self, title, total, done=0):
            class Counting:
                def advance(self, by=1, /, **figures):
                    moves.append((title, total, by, float(figures["best"])))

            yield Counting()

    search(bowl(), progress=Watching(), evaluations=12)
    assert [move[:3] for move in moves] == [("router: LoraHub", 12, 1)] * 12
    best_so_far = [move[3] for move in moves]
    assert best_so_far == sorted(best_so_far, reverse=True)


def test_lorahub_ngopt_takes_cobyla_for_every_budget_that_is_let_through():
    for shape, budget in (((1,), 50), ((3,), 150), ((2, 3), 1), ((30, 12), 40)):
        with quiet_ngopt(shape, 1.5, budget, 0) as strategy:
            assert strategy.optim.name == "Cobyla"
