"""`undertext`: finds the command and turns every ending into a line and an exit code."""

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import NoReturn

COMMANDS = {
    "bench": ("jobs.bench.command", "how often a judge is right, on organisms of known truth"),
    "compare": ("jobs.compare.command", "a verdict on two checkpoints and a task"),
    "demo": ("jobs.demo.command", "compare every pair of the shipped zoo"),
    "measure": ("jobs.measure.command", "is the reasoning real, and what did tuning do to it?"),
    "probe": (
        "jobs.probe.command",
        "values read on many checkpoints, layers and positions, with controls",
    ),
    "report": ("jobs.runs.command", "runs joined in one table and figure"),
    "routes": ("jobs.routes.command", "several ways to elicit a capability, on the same problems"),
    "sae": ("jobs.sae", "SAEs and crosscoders: train, associate features with values, follow features"),
    "steer": ("jobs.steer.command", "what a vector recovers in a checkpoint, beside controls"),
    "task": ("tasks.command", "write a task from data, write the built-in task, or check a task's folder"),
    "trace": ("jobs.trace.command", "the answer read along a trace, token by token"),
    "zoo": ("organisms.command", "list, check or train organisms, whose right verdict is known"),
}
"""By name: the module of this package that runs the command, and what the command is for."""
FAILED, MISUSED, CUT = 1, 2, 141


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 a check failed, 2 a user's mistake or an interrupt, 141 when
    whoever reads what is printed has stopped reading.

    A mistake is one line on stderr (a task's bad lines, one line each); a traceback is a defect of
    this package.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    interrupts = 0

    def interrupted(_signal: int, _frame: FrameType | None) -> None:
        nonlocal interrupts
        interrupts += 1
        raise KeyboardInterrupt

    # A job stopped by the machine ends like one stopped from the keyboard: tidily.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    signal.signal(signal.SIGALRM, interrupted)
    sys.unraisablehook = _again
    try:
        code = _run(args)
        sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:  # whoever reads what is printed has stopped: `| head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(CUT)
    except BaseException as error:
        # An interrupt while a library loads can come out as some other error of that library's.
        if interrupts:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            # CPython ends as killed by SIGINT, whatever code is asked for, once a KeyboardInterrupt has left
            # an exec (named tuples and dataclasses are made in one, as libraries load); another clears that.
            exec("")
            print("undertext: interrupted; what was not finished was not written", file=sys.stderr)
            sys.exit(MISUSED)
        if isinstance(error, ValueError):
            from undertext.activations.errors import UserError

            if isinstance(error, UserError):
                print(f"undertext: {error}", file=sys.stderr)
                sys.exit(MISUSED)
        raise


def _again(lost: "sys.UnraisableHookArgs") -> None:
    """An interrupt that came while a library's callback ran is swallowed there: it comes again."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(lost)


def _run(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help"):
        print("usage: undertext COMMAND [OPTIONS]   (undertext COMMAND --help says more)\n")
        for name, (_, about) in COMMANDS.items():
            print(f"  {name:<9} {about}")
        print("\n  --configs prints the folder of the config files that come with undertext")
        return 0 if args else MISUSED
    if args[0] == "--version":
        from undertext import __version__

        print(__version__)
        return 0
    if args[0] == "--configs":
        from undertext.core.shipped import config_file

        print(config_file("verdict.yaml").parent)
        return 0
    if args[0] not in COMMANDS:
        print(f"undertext: no command {args[0]!r}; there are: {', '.join(COMMANDS)}", file=sys.stderr)
        return MISUSED
    return int(import_module(f"undertext.{COMMANDS[args[0]][0]}").run(args[1:]))


if __name__ == "__main__":
    main()
