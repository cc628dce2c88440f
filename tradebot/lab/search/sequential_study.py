"""A study whose trials are played one after another by one process: the same seed tries the same values in order.

What is asked next depends on the seed and on the trials before it alone, so it doesn't matter how often the process was
stopped in between. A trial that was begun is taken up again.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import optuna
from msgspec import Struct
from optuna.trial import Trial, TrialState

from tradebot.lab.search.study import PLANNED, SPARE, WHY, Study, open_storage, reaching, sampler_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.trial import FrozenTrial

    from tradebot.lab.search.space import Space, Values

FIGURES = "figures"


class StudyTrial(Struct, frozen=True):
    """A trial by its place in the study, from 1, with its values: its figures, or why it was left out."""

    place: int
    values: Values
    figures: Mapping[str, Any]
    why: str


class SequentialStudy(Study):
    """A study that one process plays at a time; its user must keep other processes away."""

    @classmethod
    def open_study(
        cls, place: str, name: str, space: Space, made: Mapping[str, Any], changed: Mapping[str, str]
    ) -> SequentialStudy:
        """Return the study of this name: a new one, or the one that is there, if it was `made` from the same things.

        OperatorError by `changed`, as `require_same` takes it, if it wasn't, or if the storage can't be read.
        """
        with reaching(place):
            is_there = name in optuna.get_all_study_names(open_storage(place, new=True))
        if is_there and (found := cls(place, name, space)).made is not None:
            found.require_same(made, changed)
            return found
        found = cls(place, name, space, new=True)
        found.begin(made)
        return found

    def take(self) -> Trial | None:
        """Return the trial to play: an unfinished one, or else the next; None if there are no more."""
        with self._reaching():
            for one in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if PLANNED in one.user_attrs or {*one.params} == {*self._distributions}:
                    return self._taken_up(one)
                # Whoever drew it died in between. It is drawn again, as if it never was.
                self._storage.set_trial_user_attr(one._trial_id, SPARE, True)
                self._storage.set_trial_state_values(one._trial_id, TrialState.FAIL)
            waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
            if not waiting and (not self.space.learns or self._taken() >= self.space.total):
                return None
            self._study.sampler = self._sampler()
            return self._study.ask(self._distributions)

    def _taken_up(self, one: FrozenTrial) -> Trial:
        trial = Trial(self._study, one._trial_id)
        for name, distribution in self._distributions.items():
            trial._suggest(name, distribution)
        return trial

    def _sampler(self) -> optuna.samplers.BaseSampler:
        """Return a sampler for the next trial alone, so that it doesn't matter how many this process has drawn."""
        seed = Random(f"{self.space.seed} {self._taken()}").randrange(2**32)  # noqa: S311 - replayable
        return sampler_of(self.space.model_copy(update={"seed": seed}), 1)

    def keep(self, trial: Trial, value: float, figures: Mapping[str, Any]) -> None:
        """Keep the objective of a trial that was played, and its figures."""
        with self._reaching():
            trial.set_user_attr(FIGURES, dict(figures))
        self.tell(trial, None, [value])

    def in_order(self) -> list[StudyTrial]:
        """Return the trials that are over, in the order in which they were played."""
        with self._reaching():
            trials = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        return [
            StudyTrial(place, self.values_of(one), one.user_attrs.get(FIGURES, {}), one.user_attrs.get(WHY, ""))
            for place, one in enumerate(trials, 1)
        ]
