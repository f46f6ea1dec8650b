"""Lines of evidence as measured."""

def recovered_line(
    recovery: SteeredAnswers, task: Task, problems: Sequence[Problem], weaker: Answers, stronger: Answers
) -> RawLine:
    """The line `recovered`: accuracy of the headline vector over what empty steering could reach.

    Its null keeps every problem the weaker checkpoint had right and credits the others with the
    chance that the steered output is right for some other problem: all that outputs without
    information about their problem can do.
    """
    name = recovery.search.headline
    setting = recovery.search.best[name]
    steered = recovery.lenient[name].astype(float)
    before = weaker.lenient.astype(float)
    null = before + (1 - before) * chance_right(task, problems, recovery.texts[name])
    over = [
        f"{steered.mean() - recovery.lenient[control].mean():+.2f} over {kind}"
        for kind in KINDS
        if (control := recovery.search.best_control(kind)) is not None
    ]
    tried = len(recovery.search.on_dev.settings)
    return RawLine(
        name="recovered",
        problems=np.arange(len(problems)),
        weaker=steered,
        stronger=stronger.lenient.astype(float),
        null=null,
        oracle=recovery.search.offered.oracles[name],
        note=f"recovered gap of {name!r} added at {HookPoint(setting.layers[0], 'resid_post')}, "
        f"{described(setting.where)}, dose {setting.dose:g}, chosen on dev among {tried} settings "
        f"({log2(tried):.1f} bits); accuracy {', '.join(over)} under the same search; null: the same outputs "
        "graded against other problems' answers where the weaker was wrong",
        kind="gap",
        unaided=before,
    )


def sampled_line(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    gap: Sequence[int],
    config: CompareConfig,
    progress: Progress | None = None,
) -> RawLine:
    """pass@k of the weaker checkpoint on the problems in the gap (indices into `problems`).

    Its null is what the same samples would pass by chance: each sample right with the share of other
    problems whose answer it matches.
    """
    k = config.samples
    chosen = [problems[i] for i in gap]
    repeated = [problem for problem in chosen for _ in range(k)]
    out = generate(
        checkpoint,
        [problem.prompt for problem in chosen],
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        samples=k,
        temperature=config.temperature,
        seed=config.seed,
        batch_size=config.batch_size,
        progress=progress,
    )
    right = np.array(
        [grade(task.grader, t, p.answer).lenient for t, p in zip(out.texts, repeated, strict=True)]
    )
    chance = _chance_of_samples(task, problems, gap, out.texts, k)
    return RawLine(
        name="behaviour",
        problems=np.asarray(gap),
        weaker=pass_at_k(right.reshape(-1, k), k).astype(float),
        stronger=np.ones(len(chosen)),
        null=1 - (1 - chance).prod(1),
        oracle="none",
        note=f"pass@{k} at temperature {config.temperature:g} on the {len(chosen)} problems in the gap; "
        "null: the same samples graded against other problems' answers",
    )


def _chance_of_samples(
    task: Task, problems: Sequence[Problem], gap: Sequence[int], texts: Sequence[str], k: int
) -> Float[ndarray, "n sample"]:
    """`chance_right` of each sample [gap problem, sample]."""
    columns = []
    for j in range(k):
        outputs = [""] * len(problems)
        for i, g in enumerate(gap):
            outputs[g] = texts[i * k + j]
        columns.append(chance_right(task, problems, outputs)[list(gap)])
    return np.stack(columns, -1)
