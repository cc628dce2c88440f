"""`tradebot learn policy`: train and evaluate learned policies, up to the evidence that a promotion needs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from commands.backtest.run_options import BacktestOptions, wish_of
from commands.search import Where
from commands.search.study_options import WorkerLocation
from commands.shared.declaration import VerbPurpose, group, verb
from commands.shared.verb_options import Json, finish, with_options, without_options

group("learn policy", "Train policies for futures, and evaluate them.")
AgentName = Annotated[str, typer.Option("--agent", help="ppo, recurrent_ppo, sac, td3 or logistic.")]
Seeds = Annotated[
    int | None, typer.Option("--seeds", min=1, max=100, help="How many seeds to train, numbered from 1 [5].")
]
Steps = Annotated[
    int | None, typer.Option("--steps", help="Total number of training bars [from the agent's settings].")
]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=NUMBER", help="Change a setting of the agent.")]
Without = Annotated[list[str] | None, typer.Option("--without", metavar="FEATURE", help="Leave a feature out.")]
Symbol = Annotated[
    str | None, typer.Option("--symbol", help="The root of the futures to train on [the only one in the universe].")
]
Strategy = Annotated[str, typer.Option("--strategy", help="The name of the policy in the configuration.")]
Key = Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key to sign models with.")]
Kept = Annotated[Path, typer.Option("--results", metavar="FOLDER", help="Where models and results are stored.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, max=1_000, help="Processes [one per core].")]
By = Annotated[
    Literal["walk-forward", "cpcv"],
    typer.Option("--by", help="How to split the sessions; cpcv evaluates along many paths."),
]
Drafts = Annotated[Path, typer.Option("--drafts", metavar="FOLDER", help="Where to write the unsigned models.")]
PLAYED = without_options(
    wish_of, "prices", "day_prices", "edge", "corporate_actions", "flow", "flow_folder", "symbols", "equity_at",
    "margin", "recorder", "every_pass",
)  # fmt: skip
JUDGED = without_options(PLAYED, "profile")


@verb(
    "learn policy train",
    VerbPurpose.DEVELOP,
    40,
    {"learn-policy-train/1": ("commands.learn.policy.train:PolicyTrained",)},
    elsewhere=True,
    epilog="tradebot learn policy train --agent logistic --profile policy --sessions 20\n"
    "tradebot learn policy train --agent ppo --seeds 5 --profile policy --bars mes.csv --bar-stamp start",
)
@with_options(wish=PLAYED)
def _train(
    agent: AgentName = "ppo",
    seeds: Seeds = None,
    steps: Steps = None,
    changes: Set = None,
    without: Without = None,
    symbol: Symbol = None,
    strategy: Strategy = "policy",
    to: Drafts = Path("drafts"),
    *,
    wish: BacktestOptions,
    as_json: Json = False,
) -> None:
    """Train an agent on a span of bars, once with each seed.

    It trades in the bot's own backtest and learns from the account's equity. The features' scaling comes from the same
    span. Each model is written as a draft that you can sign. A configuration counts as one trial from then on, whatever
    the result. The logistic regression needs no extra; the others need the extra rl and PyTorch.
    """
    from commands.learn.policy.train import TrainingOptions, run

    options = TrainingOptions(agent, seeds, steps, tuple(changes or ()), tuple(without or ()), symbol, strategy, to)
    finish(run(options, wish), as_json)


@verb(
    "learn policy walk",
    VerbPurpose.DEVELOP,
    50,
    {
        "learn-policy-walk/2": (
            "commands.learn.policy.train:PolicyWalked",
            "commands.learn.policy.shadow:WalkPostponed",
        )
    },
    elsewhere=True,
    epilog="tradebot learn policy walk --agent logistic --key ~/keys/models.pem --profile policy --sessions 300\n"
    "tradebot learn policy walk --agent ppo --key ~/keys/models.pem --profile policy --bars mes.csv --bar-stamp end\n"
    "tradebot learn policy walk --agent ppo --seeds 5 --key ~/keys/models.pem --sessions 400 --by cpcv --results paths",
)
@with_options(wish=PLAYED)
def _walk(
    key: Key,
    agent: AgentName = "ppo",
    seeds: Seeds = None,
    steps: Steps = None,
    changes: Set = None,
    without: Without = None,
    symbol: Symbol = None,
    strategy: Strategy = "policy",
    to: Kept = Path("policies"),
    by: By = "walk-forward",
    workers: Workers = None,
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="If the policy passes, train it on the newest sessions and put it into shadow."),
    ] = False,
    *,
    wish: BacktestOptions,
    as_json: Json = False,
) -> None:
    """Train on one span and evaluate on the next, repeatedly.

    The settings under promotion.splits say how long the spans are. Each model is trained before the sessions that
    evaluate it, signed, and played by the bot's own passes there: as it is, with costs doubled, and a bar later; so are
    the benchmarks. With --by cpcv, all sessions are cut into groups instead, and models trained on the others evaluate
    a few groups each: 66 splits, and 11 paths for each seed. The results are what tradebot promote requires of a
    policy. The same command resumes a walk that was stopped. Exits with code 10 unless the policy passes. With
    --shadow, a policy that passes is trained on the newest sessions, and replaces the one that the strategy has in
    shadow, unless that is still being judged; then nothing is trained.
    """
    from commands.learn.policy.train import TrainingOptions, WalkOptions, run_walk

    options = TrainingOptions(agent, seeds, steps, tuple(changes or ()), tuple(without or ()), symbol, strategy, Path())
    finish(run_walk(options, WalkOptions(to, key.expanduser(), workers, by, shadow), wish), as_json)


@verb(
    "learn policy study",
    VerbPurpose.DEVELOP,
    60,
    {"learn-policy-study/1": ("commands.learn.policy.study:PolicyStudied",)},
    elsewhere=True,
    epilog="tradebot learn policy study --agent ppo --space ppo.yaml --trials 30 --key ~/keys/models.pem\n"
    "tradebot learn policy study --agent logistic --space c.yaml --key ~/keys/models.pem --on ray",
)
@with_options(wish=PLAYED)
def _study(
    key: Key,
    space: Annotated[Path, typer.Option("--space", metavar="FILE", help="File of values; see docs/LEARN_POLICIES.md.")],
    agent: AgentName = "ppo",
    trials: Annotated[
        int | None, typer.Option("--trials", min=2, max=100_000, help="Number of trials [from the space].")
    ] = None,
    name: Annotated[str | None, typer.Option("--study", help="The name of the study [the agent's name].")] = None,
    seeds: Seeds = None,
    steps: Steps = None,
    changes: Set = None,
    without: Without = None,
    symbol: Symbol = None,
    strategy: Strategy = "policy",
    to: Kept = Path("policies"),
    workers: Workers = None,
    on: Where = WorkerLocation.PROCESSES,
    *,
    wish: BacktestOptions,
    as_json: Json = False,
) -> None:
    """Search for settings of an agent, walking forward.

    A space says which settings are tried; its seed determines the values and their order. Each configuration is walked
    forward as by learn policy walk, and counts as one trial before it is trained. The first half of the evaluated
    sessions chooses, by the median seed's Sharpe ratio; the second half is held out. The same command resumes a study
    that was stopped.
    """
    from commands.learn.policy.study import StudyRequest, run
    from commands.learn.policy.train import TrainingOptions, WalkOptions

    options = TrainingOptions(agent, seeds, steps, tuple(changes or ()), tuple(without or ()), symbol, strategy, Path())
    finish(
        run(
            options,
            StudyRequest(space, trials, name, on),
            WalkOptions(to, key, workers, "walk-forward"),
            wish,
        ),
        as_json,
    )


@verb(
    "learn policy judge",
    VerbPurpose.DEVELOP,
    70,
    {"learn-policy-judge/1": ("commands.learn.policy.judge:PolicyJudged",)},
    elsewhere=True,
    epilog="tradebot learn policy judge --bars mes.csv --bar-stamp start --from 2026-11-02 --to 2026-11-27\n"
    "tradebot learn policy judge --from 2026-11-02 --write results.json --json",
)
@with_options(wish=JUDGED)
def _judge(
    symbol: Symbol = None,
    strategy: Strategy = "policy",
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="File for the results [strategies.NAME.results].")
    ] = None,
    *,
    wish: BacktestOptions,
    as_json: Json = False,
) -> None:
    """Run the models of a policy in later sessions.

    Each model's results by session are added to the file from which weights and the choice among models are computed. A
    model is never evaluated in a session that it was trained on.
    """
    from commands.learn.policy.judge import run

    finish(run(strategy, symbol, write, wish), as_json)
