"""Declare `engage-spark models …`: look at registered models, choose champions. Needs no Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engage_spark.cli.common import EPILOG, CommandGroup, settings_of, show
from engage_spark.contract import load_contract

app = typer.Typer(
    cls=CommandGroup,
    help="The trained models: champions and challengers, one in full, promotion by hand. Needs no Spark.",
    epilog=EPILOG,
)

Target = Annotated[
    str, typer.Argument(help="a target of the contract, such as `engage-spark models` lists them")
]


@app.callback(invoke_without_command=True, epilog=EPILOG)
def list_targets(ctx: typer.Context) -> None:
    """List every target's champion and challenger; or, with a command, look at or change one."""
    if ctx.invoked_subcommand is None:
        from engage_spark.pipelines.models import list_models

        settings = settings_of(ctx)
        show(ctx, list_models(settings, contract=load_contract(settings.contract)))


@app.command("show", epilog=EPILOG)
def show_version(
    ctx: typer.Context,
    target: Target,
    version: Annotated[
        int | None, typer.Option(help="which version (default: the champion, else the newest)")
    ] = None,
) -> None:
    """Show one version: what it was trained on, its features, parameters and metrics, and where its files
    are.
    """
    from engage_spark.pipelines.models import show_model

    settings = settings_of(ctx)
    show(ctx, show_model(settings, contract=load_contract(settings.contract), target=target, version=version))


@app.command("promote", epilog=EPILOG)
def promote(
    ctx: typer.Context,
    target: Target,
    version: Annotated[int, typer.Argument(help="the version that is to be champion")],
    force: Annotated[
        bool, typer.Option("--force", help="even if it failed its gates; the version is tagged with that")
    ] = False,
) -> None:
    """Make a version champion by hand; exit code 3 when it failed its gates."""
    from engage_spark.pipelines.models import promote_model

    settings = settings_of(ctx)
    show(
        ctx,
        promote_model(
            settings, contract=load_contract(settings.contract), target=target, version=version, force=force
        ),
    )


@app.command("send", epilog=EPILOG)
def send(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="where the run was kept; the error said so")],
) -> None:
    """Bring a run to MLflow that was kept because MLflow was away, and register its model."""
    from engage_spark.pipelines.models import send_run

    show(ctx, send_run(settings_of(ctx), folder=folder))
