"""Read the layers of the settings, merge them, and report what is wrong with them."""

from __future__ import annotations

import difflib
import os
import re
import types
import typing
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from engage_spark.errors import ConfigurationError
from engage_spark.masking import cut, is_secret_name, remember_environment, remember_settings
from engage_spark.settings.model import Settings
from engage_spark.strict_yaml import load_yaml
from engage_spark.wording import counted

PREFIX = "ENGAGE_SPARK__"
LONGEST_SHOWN = 200
"""Characters of a wrong value that an error shows."""
MOVED = {
    f"models.{name}": "the contract declares what a contact costs and brings, beside the target: "
    "{property: money, value: {value: …, cost: …, success: …, currency: …, source: …}}"
    for name in ("value", "values", "cost", "success", "currency")
}
"""Settings of earlier versions, and where what they said stands now."""
_KEY = re.compile(r"[\w.-]*")


class SettingsLayer(NamedTuple):
    """Values as nested mappings, and the name of their origin."""

    origin: str
    values: dict[str, Any]


def conf_dir(stated: str | Path | None = None) -> Traversable:
    """Find the directory of base.yaml.

    It is `stated` (`--conf-dir`), else `ENGAGE_SPARK_CONF_DIR`, the checkout's conf/, or the packaged copy.
    Errors: ConfigurationError where it holds no base.yaml.
    """
    package = files("engage_spark")
    checkout = Path(__file__).resolve().parents[2]
    configured = stated or os.environ.get("ENGAGE_SPARK_CONF_DIR")
    candidates: list[Traversable] = [checkout / "conf", package / "_conf"]
    for candidate in [Path(configured)] if configured else candidates:
        if (candidate / "base.yaml").is_file():
            return candidate
    raise ConfigurationError(
        f"no base.yaml in the configuration directory {configured or package / '_conf'}",
        hint="point --conf-dir or ENGAGE_SPARK_CONF_DIR at a directory with a base.yaml, "
        "or reinstall engage-spark",
    )


def load_settings(
    env: str | None = None,
    *,
    conf: str | Path | None = None,
    overrides: tuple[str, ...] | list[str] = (),
    options: tuple[str, ...] = (),
) -> Settings:
    """Merge all layers of the settings and check the result.

    `env` names the overlay (else `ENGAGE_SPARK_ENV`, else local); `overrides` are the `key=value` texts of
    `--set`, `options` the same of options of the command, which come first.
    Errors: one ConfigurationError that lists every unknown key and bad value.
    """
    return _build(
        env or os.environ.get("ENGAGE_SPARK_ENV") or "local",
        directory=conf_dir(conf),
        overrides=tuple(overrides),
        options=options,
    )


def _build(
    env: str, *, directory: Traversable, overrides: tuple[str, ...], options: tuple[str, ...]
) -> Settings:
    """Build the settings of all layers; one error lists everything that is wrong in any of them."""
    overlay = directory / f"{env}.yaml"
    if env == "base" or not overlay.is_file():
        files_there = (p.name.rpartition(".") for p in directory.iterdir())
        overlays = sorted(stem for stem, _, ending in files_there if ending == "yaml" and stem != "base")
        hint = difflib.get_close_matches(env, overlays, n=1)
        raise ConfigurationError(
            f"there is no environment {env!r}: {directory} has no overlay of that name"
            + (f"; did you mean {hint[0]!r}?" if hint else ""),
            hint=f"choose one of {', '.join(overlays)}, or write {env}.yaml beside them",
        )
    problems: list[str] = []
    layers = [
        SettingsLayer("option of the command", _from_overrides(options, problems)),
        SettingsLayer("--set", _from_overrides(overrides, problems)),
        SettingsLayer("environment", _from_environment(problems)),
        SettingsLayer(overlay.name, _from_file(overlay, problems)),
        SettingsLayer("base.yaml", _from_file(directory / "base.yaml", problems)),
    ]
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        merged = _merge(merged, layer.values)
    remember_environment()
    remember_settings(merged)
    name = str(merged.setdefault("env", env))
    try:
        settings = Settings(**_fill(merged, name))
    except ValidationError as e:
        problems += [_word(dict(error), layers) for error in e.errors(include_url=False)]
    if problems:
        raise ConfigurationError(
            f"the settings have {counted(len(problems), 'problem')}",
            hint="correct them where they are set; "
            f"`engage-spark --env {env} --print-config` shows the result",
            details=problems,
        )
    return settings


def _from_file(path: Traversable, problems: list[str]) -> dict[str, Any]:
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as e:
        problems.append(f"{path.name} cannot be read as YAML: {' '.join(str(e).split())}")
        return {}
    if values is not None and not isinstance(values, dict):
        problems.append(f"{path.name} must hold a mapping of sections, not a {type(values).__name__}")
        return {}
    return values or {}


def _from_environment(problems: list[str]) -> dict[str, Any]:
    """Read environment variables; unknown sections are found here, since pydantic-settings ignores them."""
    for name in sorted(os.environ):
        if (
            name.upper().startswith(PREFIX)
            and (section := name[len(PREFIX) :].split("__")[0].lower()) not in Settings.model_fields
        ):
            problems.append(
                f"{section}: unknown section (environment variable {name})"
                f"{_close(section, Settings.model_fields)}"
            )
    try:
        return EnvSettingsSource(Settings)()
    except SettingsError as e:
        problems.append(f"environment variables cannot be read: {e}; lists and maps are written as JSON")
        return {}


def _from_overrides(overrides: tuple[str, ...], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            # Not the text itself: what was misspelt may be a secret.
            problems.append(f"--set {_KEY.match(text)[0]}…: must look like section.key=value")  # type: ignore[index]
            continue
        path, annotation = _locate(key.strip().split("."))
        target = values
        for part in path[:-1]:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                problems.append(f"--set {key}: {part} is set as a value and as a section")
                break
        else:
            target[path[-1]] = _parse(value, annotation)
    return values


def _locate(parts: list[str]) -> tuple[list[str], Any]:
    """Walk the model along a dotted key. Below a map (spark.conf) the rest is one key, dots and all."""
    model: type[BaseModel] = Settings
    for i, part in enumerate(parts):
        field = _fields(model).get(part)
        if field is None:
            return parts, None
        inner = _plain(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
        elif typing.get_origin(inner) is dict and i + 1 < len(parts):
            return [*parts[: i + 1], ".".join(parts[i + 1 :])], str
        else:
            return parts, field.annotation
    return parts, model


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {f.alias or name: f for name, f in model.model_fields.items()}


def _plain(annotation: Any) -> Any:
    """Return the type without `Annotated` and without `| None`."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        rest = [a for a in typing.get_args(annotation) if a is not type(None)]
        return _plain(rest[0]) if len(rest) == 1 else annotation
    return annotation


def _parse(value: str, annotation: Any) -> Any:
    """Convert text for pydantic: null, YAML for lists, maps and whole sections, else the text itself."""
    if value == "null":
        return None
    inner = _plain(annotation)
    if typing.get_origin(inner) in (tuple, list, dict) or (
        isinstance(inner, type) and issubclass(inner, BaseModel)
    ):
        try:
            return load_yaml(value)
        except yaml.YAMLError:
            return value
    return value


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if nested else value
    return merged


def _fill(value: Any, env: str) -> Any:
    """Replace `{env}` in every text."""
    if isinstance(value, str):
        return value.replace("{env}", env)
    if isinstance(value, dict):
        return {k: _fill(v, env) for k, v in value.items()}
    return [_fill(v, env) for v in value] if isinstance(value, list) else value


def _word(error: dict[str, Any], layers: list[SettingsLayer]) -> str:
    path = [str(p) for p in error["loc"]]
    key = ".".join(path) or "settings"
    origin = next((layer.origin for layer in layers if _holds(layer.values, path)), "default")
    if error["type"] == "extra_forbidden":
        if key in MOVED:
            return f"{key}: not a setting any more ({origin}); {MOVED[key]}"
        kind = "key" if len(path) > 1 else "section"
        return f"{key}: unknown {kind} ({origin}){_close(path[-1], _siblings(path))}"
    message = str(error["msg"]).removeprefix("Value error, ")
    secret = isinstance(error["input"], dict | list | BaseModel) or is_secret_name(key)
    return (
        f"{key}: {message} ({origin})"
        if secret
        else f"{key}: {message}, but is {cut(repr(error['input']), LONGEST_SHOWN)} ({origin})"
    )


def _holds(values: Any, path: list[str]) -> bool:
    for part in path:
        if not isinstance(values, Mapping):
            return isinstance(values, list | tuple)
        if part not in values:
            return False
        values = values[part]
    return True


def _siblings(path: list[str]) -> dict[str, Any]:
    model: Any = Settings
    for part in path[:-1]:
        field = _fields(model).get(part)
        model = _plain(field.annotation) if field else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return {}
    return _fields(model)


def _close(name: str, known: Mapping[str, Any]) -> str:
    hint = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {hint[0]}?" if hint else f"; known are {', '.join(known)}" if known else ""
