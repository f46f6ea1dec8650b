"""What all probes share: scikit-learn's contract, and how a linear map reads activations."""

import inspect
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.rows import in_working_dtype

E = TypeVar("E", bound="Estimator")


class Estimator:
    """Hyperparameters as scikit-learn has them: the constructor's keywords, kept as they came."""

    @classmethod
    def _names(cls) -> list[str]:
        taken = inspect.signature(cls.__init__).parameters.values()
        return [each.name for each in taken if each.kind is each.KEYWORD_ONLY]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name. `deep` is there for scikit-learn: nothing is nested."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self: E, **params: Any) -> E:
        """Change arguments; the next `fit` uses them. UserError lists them when a name is none of them."""
        for name, value in params.items():
            if name not in self._names():
                raise UserError(f"{type(self).__name__} has no {name!r}: it has {', '.join(self._names())}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"


class Linear(Estimator):
    """A fitted linear map. Abstract: `Classifier` and `RidgeProbe` say what its outputs mean.

    Fitted on `[*slice, n, d]` it reads `[*slice, m, d]`; slices are layers, positions or both.
    """

    coef_: Float[Tensor, "*slice_output d"]
    """On raw activations."""
    intercept_: Float[Tensor, "*slice_output"]
    n_features_in_: int
    _axes: tuple[int, ...]
    """Sizes of the axes between slices and features: target, if labels had that axis, and class."""

    def _keep(self, coef: Tensor, intercept: Tensor, slices: Sequence[int], axes: Sequence[int]) -> None:
        """Store what was fitted, of any shape in that order."""
        self._axes, self.n_features_in_ = tuple(axes), coef.shape[-1]
        self.coef_ = coef.reshape((*slices, *axes, coef.shape[-1]))
        self.intercept_ = intercept.reshape((*slices, *axes))

    def _outputs(self, X: Float[Tensor, "*slice m d"]) -> Float[Tensor, "*slice_m_output"]:
        if not hasattr(self, "coef_"):
            raise UserError(f"this {type(self).__name__} is not fitted yet: call fit first")
        lead = self.coef_.shape[: self.coef_.ndim - 1 - len(self._axes)]
        if X.ndim < 2 or X.shape[:-2] != lead or X.shape[-1] != self.n_features_in_:
            sizes = ", ".join([*map(str, lead), "m", str(self.n_features_in_)])
            raise UserError(f"expected activations [{sizes}] as in fit, got {list(X.shape)}")
        coef = self.coef_.reshape(*lead, -1, self.n_features_in_)
        flat = in_working_dtype(X).to(coef.dtype) @ coef.mT + self.intercept_.reshape(*lead, 1, -1)
        return flat.reshape((*flat.shape[:-1], *self._axes))


def shares(y: Tensor, sample_weight: Tensor | None, like: Tensor) -> Float[Tensor, " m"]:
    """Rows' weights for a score, summing to one."""
    weight = torch.ones(len(y)) if sample_weight is None else sample_weight
    check_weight(y, weight)
    return weight.to(like) / weight.sum().to(like)


def check_weight(y: Tensor, weight: Tensor) -> None:
    """UserError unless there is a weight for each row."""
    if weight.shape != (len(y),):
        raise UserError(f"expected a weight for each row, [{len(y)}], got {list(weight.shape)}")


def share_of(hits: Bool[Tensor, "*rest m"], weight: Tensor | None = None) -> Float[Tensor, "*rest"]:
    """The (weighted) share of the last axis that is true, in float64.

    Counted, not multiplied by 1 / m: all of them is 1 and half of them is 0.5, on any processor. Weights are
    summed by the same sum above the line and below it, so that all of them is 1 there too.
    """
    if weight is None:
        return hits.sum(-1).double() / hits.shape[-1]
    each = weight.to(hits.device).double().expand(hits.shape).contiguous()
    return torch.where(hits, each, 0.0).sum(-1) / each.sum(-1)


class Classifier(Linear):
    """A fitted linear classifier: `coef_` has a row a class. Abstract: probes say how it is fitted.

    With labels `[n, target]` there is a target axis before the classes, and answers have labels' shape.
    """

    classes_: Int[Tensor, " class"]

    def decision_function(self, X: Float[Tensor, "*slice m d"]) -> Float[Tensor, "*slice_m_target class"]:
        """Logits `[*slice, m, *target, class]`, in the order of `classes_`.

        Of two classes, the second's less the first's is scikit-learn's one.
        """
        return self._outputs(X)

    def predict(self, X: Float[Tensor, "*slice m d"]) -> Int[Tensor, "*slice_m_target"]:
        """The likeliest class of each row `[*slice, m, *target]`."""
        likeliest = self.decision_function(X).argmax(-1)
        return self.classes_[likeliest]

    def predict_proba(self, X: Float[Tensor, "*slice m d"]) -> Float[Tensor, "*slice_m_target class"]:
        """Class probabilities `[*slice, m, *target, class]`, in the order of `classes_`."""
        return self.decision_function(X).softmax(-1)

    def score(
        self,
        X: Float[Tensor, "*slice m d"],
        y: Int[Tensor, "m *target"],
        sample_weight: Float[Tensor, " m"] | None = None,
    ) -> Float[Tensor, "*slice_target"]:
        """Accuracy `[*slice, *target]`: the (weighted) share of rows whose class is predicted.

        Without weights it is a count over a count, rounded once.
        """
        right = self.predict(X) == y.to(self.classes_.device)
        right = right.movedim(-2, -1) if y.ndim == 2 else right
        if sample_weight is not None:
            check_weight(y, sample_weight)
        return share_of(right, sample_weight).to(self.coef_.dtype)

    @property
    def direction_(self) -> Float[Tensor, "*slice_target class d"]:
        """Each class's unit direction in activation space, for steering: its `coef_` less their mean."""
        return torch.nn.functional.normalize(self.coef_ - self.coef_.mean(-2, keepdim=True), dim=-1)
