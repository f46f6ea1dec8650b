"""Rows that are written together, so many at once, others taking the places of those that have ended."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.cache import BufferedCache
from undertext.activations.errors import UserError
from undertext.activations.passes import Passes, Pool
from undertext.activations.sampling import Sampler, Stopping, some_rows

_ROOM = 128
"""Room in the cache for so many new tokens; where rows write more of them, it grows."""

_SHORT, _LONGER = 48, 1.4
"""Rows are set aside once they are as long again as the longest prompt, or by so many tokens where prompts
are shorter; and whenever they are so many times longer than that. Chosen by the costs of passes, attention
and copies on outputs of lognormal length."""

_FEW, _MANY = 1 / 8, 1 / 4
"""Others are read in once this share of the places is free: the greater one where the smaller has no room for
all rows of a prompt. Each reading costs a pass of its own."""


class Writing:
    """Rows of a text each, at most `width` of them written at once.

    Where rows have ended, the next ones take their places, so that what is paid for is the tokens that are
    written and not the longest row (continuous batching: Yu et al., Orca, OSDI 2022). Attention is paid for
    by the longest text of a pass: a row that has become much longer than those that came in is set aside,
    and goes on with others that have, as soon as there are `width` of them or no shorter ones left.
    """

    def __init__(
        self,
        passes: Passes,
        openings: Sequence[int] | None = None,
        margins: bool = False,
        *,
        width: int,
    ) -> None:
        """What reads the rows, and the first token of each where it is set."""
        self._passes, self._openings, self._width = passes, openings, width
        self.produced = passes.produced
        """All tokens of each row, end token and stop string included."""
        self.finished = [False] * len(passes.prompts)
        """Which rows have ended."""
        self.margins: list[list[float]] | None = [[] for _ in self.finished] if margins else None
        """For each token of each row, p(likeliest) - p(second likeliest) where it was chosen."""
        lengths = [len(ids) for ids in passes.prompts]
        # The longest first, so that no prompt is longer than what the cache holds when its turn comes.
        self._waiting = sorted(range(len(lengths)), key=lambda row: -lengths[row])
        self._longest = max(lengths, default=0)
        self.most = 1
        """Most rows that have stood together."""

    def run(
        self, max_new_tokens: int, sampler: Sampler, stopping: Stopping, progress: Callable[[int], None]
    ) -> None:
        """Generate until every row has ended."""
        self._steps, self._sampler = max_new_tokens, sampler
        self._stopping, self._progress = stopping, progress
        self._room = min(max_new_tokens - 1, _ROOM)
        self._pools = {0: self._empty()}
        # Rows that were set aside, by how often, and what the model has kept of them.
        self._aside: dict[int, list[tuple[list[int], BufferedCache]]] = {}
        while self._waiting or any(self._count(times) for times in (*self._pools, *self._aside)):
            self._write(self._turn())

    def _empty(self) -> Pool:
        return Pool([], [], BufferedCache(self._passes.checkpoint.model.config, 0))

    def _count(self, times: int) -> int:
        """How many rows that were set aside so many times go on."""
        here = len(self._pools[times].taken) if times in self._pools else 0
        return here + sum(len(rows) for rows, _ in self._aside.get(times, []))

    def _turn(self) -> int:
        """Which pool goes on: the longest texts of which there are enough, or else the shortest there are."""
        there = sorted({*self._pools, *self._aside})
        full = [times for times in there if times and self._count(times) >= self._width]
        if full:
            return full[-1]
        return 0 if self._waiting else next(times for times in there if self._count(times))

    def _write(self, times: int) -> None:
        """Write on with the rows that were set aside so many times, until others have their turn."""
        if times in self._aside:
            self._take_back(times)
        pool = self._pools[times]
        limit = int((self._longest + max(_SHORT, self._longest)) * _LONGER**times) - self._longest
        while True:
            while times == 0 and self._due(pool):
                self._read_in(pool)
            if not self._passes.crossing:
                self._set_aside(pool, times + 1, limit)
            here = len(pool.taken)
            if not here:  # what it keeps of rows that have left is given up
                self._pools[times] = self._empty()
            if not here or self._count(times + 1) >= self._width:
                return
            # Few rows cost nearly as much as many: where shorter ones are left, they wait for company.
            shorter = bool(times and self._waiting) or any(self._count(less) for less in range(times))
            if shorter and 2 * here < self._width:
                return
            others = times == 0 and bool(self._waiting)
            if not others:  # nobody takes the places that are free
                pool.shrink()
            self._choose(pool, range(len(pool.rows)), self._passes.on(pool))

    def _set_aside(self, pool: Pool, times: int, limit: int) -> None:
        """Take out of the pool the rows that have written `limit` tokens."""
        slots = [slot for slot in pool.taken if len(self.produced[pool.rows[slot]]) >= limit]
        if not slots:
            return
        rows = [pool.rows[slot] for slot in slots]
        held = max(len(self._passes.prompts[row]) + len(self.produced[row]) - 1 for row in rows)
        self._aside.setdefault(times, []).append((rows, pool.cache.copied(torch.tensor(slots), held)))
        for slot in slots:
            pool.here[slot] = False

    def _take_back(self, times: int) -> None:
        """Fill a pool up with rows that were set aside so many times."""
        pool = self._pools.get(times)
        rows: list[int] = []
        caches: list[BufferedCache] = []
        if pool is not None and pool.taken:
            pool.shrink()
            rows, caches = pool.rows, [pool.cache]
        waiting = self._aside.pop(times)
        while waiting and len(rows) < self._width:
            those, cache = waiting.pop(0)
            room = self._width - len(rows)
            if len(those) > room:
                left = torch.arange(room, len(those))
                waiting.insert(0, (those[room:], cache.copied(left, cache.get_seq_length())))
                those, cache = those[:room], cache.copied(torch.arange(room), cache.get_seq_length())
            rows, caches = [*rows, *those], [*caches, cache]
        if waiting:
            self._aside[times] = waiting
        self.most = max(self.most, len(rows))
        self._pools[times] = Pool(rows, [True] * len(rows), BufferedCache.joined(caches, self._room))

    def _choose(self, pool: Pool, slots: Sequence[int], logits: Float[Tensor, "slot d_vocab"]) -> None:
        """The next token of the rows in these places; those that end with it leave, and are told of."""
        rows = [pool.rows[slot] for slot in slots]
        self._check(pool, slots, logits)
        # One that has left may have no step left to draw at; what is drawn for it is not looked at.
        steps = torch.tensor([min(len(self.produced[row]), self._steps - 1) for row in rows])
        chosen = self._sampler.choose(logits, steps, torch.tensor(rows)).tolist()
        widths: list[float] = []
        if self.margins is not None:
            for some in some_rows(logits):
                top = some.float().softmax(dim=-1).topk(2).values
                widths += (top[:, 0] - top[:, 1]).tolist()
        ended = 0
        for at, (slot, row) in enumerate(zip(slots, rows, strict=True)):
            if not pool.here[slot]:
                continue
            produced = self.produced[row]
            opened = self._openings is not None and not produced
            produced.append(self._openings[row] if self._openings and opened else chosen[at])
            if self.margins is not None:
                self.margins[row].append(widths[at])
            if self._stopping.ended(produced) or len(produced) == self._steps:
                self.finished[row], pool.here[slot] = True, False
                ended += 1
        if ended:
            self._progress(ended)

    def _due(self, pool: Pool) -> bool:
        """Whether prompts are to be read in: few at a time cost much, places that stay free cost more."""
        free = len(pool.free)
        if not self._waiting or free < _FEW * len(pool.rows):
            return False
        if free >= _MANY * len(pool.rows):
            return True
        # All rows of the next prompt come in together, so that it is read once.
        after = self._waiting[free : free + 1]
        return not after or self._passes.prompts[after[0]] != self._passes.prompts[self._waiting[0]]

    def _read_in(self, pool: Pool) -> None:
        """Read the next prompts, and choose the first token of each of their rows."""
        free = pool.free
        nobody = len(free) == len(pool.rows)
        rows = self._next(self._width if nobody else len(free))
        self.most = max(self.most, len(rows))
        read, slots, logits = self._passes.of_prompts(rows)
        taken = torch.tensor(slots)
        if nobody:
            read.take_rows(taken, self._room)
            pool.rows, pool.here, pool.cache = rows, [True] * len(rows), read
            places = list(range(len(rows)))
        else:
            places = free[: len(rows)]
            pool.cache.put_rows(places, read, taken)
            for place, row in zip(places, rows, strict=True):
                pool.rows[place], pool.here[place] = row, True
        self._choose(pool, places, logits)

    def _next(self, most: int) -> list[int]:
        """The rows whose turn it is: where that can be, all of a prompt's together."""
        rows = self._waiting[:most]
        for count in range(len(rows), (len(rows) - 1) // 2, -1):
            after = self._waiting[count : count + 1]
            if not after or self._passes.prompts[after[0]] != self._passes.prompts[rows[count - 1]]:
                rows = rows[:count]
                break
        del self._waiting[: len(rows)]
        return rows

    def _check(self, pool: Pool, slots: Sequence[int], logits: Float[Tensor, "slot d_vocab"]) -> None:
        wrong = logits.amax(dim=-1).isnan()  # a NaN is the greatest of its row
        if wrong.any():
            for at in wrong.nonzero()[:, 0].tolist():
                if pool.here[slots[at]]:
                    raise NotANumber(pool.rows[slots[at]])


class NotANumber(UserError):
    """NaN in the logits of a row, `args[0]`."""
