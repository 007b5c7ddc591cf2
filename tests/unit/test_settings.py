from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic.fields import FieldInfo

from engage_spark.errors import ConfigurationError
from engage_spark.numerics.suppression import SMALLEST_GROUP
from engage_spark.settings import LakeSettings, Settings, conf_dir, load_settings
from engage_spark.settings.model import Section


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text("input: {root: 'base-{env}'}\nspark: {driver_memory: 1g}\n")
    (tmp_path / "local.yaml").write_text("spark: {driver_memory: 2g, shuffle_partitions: 3}\n")
    return tmp_path


def problems(conf: Path, *overrides: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_settings("local", conf=conf, overrides=overrides)
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize("env", sorted(p.name[:-5] for p in conf_dir().iterdir() if p.name != "base.yaml"))
def test_every_committed_overlay_loads(env: str) -> None:
    settings = load_settings(env)
    assert bool(settings.lake.root) != bool(settings.lake.catalog)
    assert "{" not in str(settings.paths)


def test_the_stronger_layer_wins(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings("local", conf=conf).spark.driver_memory == "2g"
    monkeypatch.setenv("ENGAGE_SPARK__SPARK__DRIVER_MEMORY", "3g")
    assert load_settings("local", conf=conf).spark.driver_memory == "3g"
    settings = load_settings("local", conf=conf, overrides=["spark.driver_memory=4g"])
    assert settings.spark.driver_memory == "4g"
    assert settings.spark.shuffle_partitions == 3, "what a stronger layer does not name stays"


def test_env_is_filled_in_and_can_differ_from_the_overlay(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings("local", conf=conf).input.root == "base-local"
    assert load_settings("local", conf=conf, overrides=["env=prod"]).input.root == "base-prod"
    monkeypatch.setenv("ENGAGE_SPARK__ENV", "test")
    assert load_settings("local", conf=conf).input.root == "base-test"


def test_all_problems_are_told_at_once_with_place_and_near_miss(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (conf / "local.yaml").write_text("lake: {rooot: x}\nspark: {shuffle_partitions: none}\n")
    monkeypatch.setenv("ENGAGE_SPARK__INGST__FORMAT", "csv")
    monkeypatch.setenv("ENGAGE_SPARK__SPARK__DRIVER_MEMORY", "lots")
    problem_lines = problems(conf, "synth.customer=5", "nonsense").details
    assert len(problem_lines) == 6
    for words in (
        ("lake.rooot", "unknown key", "local.yaml", "did you mean root?"),
        ("spark.shuffle_partitions", "'none'", "local.yaml"),
        ("ingst", "unknown section", "ENGAGE_SPARK__INGST__FORMAT", "did you mean ingest?"),
        ("spark.driver_memory", "'lots'", "environment"),
        ("synth.customer", "unknown key", "--set", "did you mean customers?"),
        ("--set nonsense", "section.key=value"),
    ):
        assert any(all(word in line for word in words) for line in problem_lines), (words, problem_lines)


@pytest.mark.parametrize("key", ["value", "values", "cost", "success", "currency"])
def test_a_setting_that_moved_says_where_it_went(conf: Path, key: str) -> None:
    (line,) = problems(conf, f"models.{key}=5").details
    assert "not a setting any more (--set)" in line
    assert "{property: money, value: {value: …, cost: …" in line


def test_no_setting_shows_smaller_groups_than_all_else_that_leaves_the_lake(conf: Path) -> None:
    (line,) = problems(conf, f"models.smallest_group={SMALLEST_GROUP - 1}").details
    assert "models.smallest_group" in line and str(SMALLEST_GROUP) in line
    load_settings(conf=conf, overrides=[f"models.smallest_group={SMALLEST_GROUP}"])


def test_an_unknown_environment_names_the_known_ones(conf: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'local'") as caught:
        load_settings("locl", conf=conf)
    assert "local" in str(caught.value.hint)
    with pytest.raises(ConfigurationError, match="no environment 'base'"):
        load_settings("base", conf=conf)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "cannot be read as YAML"),
        ("- a\n", "must hold a mapping"),
        ("lake: {root: a}\nlake: {root: b}\n", "'lake' is written twice"),
    ],
    ids=["syntax", "list", "key twice"],
)
def test_a_broken_file_is_named(conf: Path, text: str, words: str) -> None:
    (conf / "base.yaml").write_text(text)
    (line,) = problems(conf).details
    assert "base.yaml" in line
    assert words in line


def test_a_missing_conf_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no base.yaml"):
        load_settings(conf=tmp_path / "nowhere")


def test_lake_is_a_path_or_a_catalog(conf: Path) -> None:
    assert "not both" in str(
        problems(conf, "lake.root=x", "lake.catalog=c", "lake.schema=s", "lake.scratch=t")
    )
    assert "belong together" in str(problems(conf, "lake.catalog=c"))
    assert "scratch is needed" in str(problems(conf, "lake.catalog=c", "lake.schema=s"))
    assert "views needs a catalog" in str(problems(conf, "lake.root=x", "lake.views=v"))
    assert "two schemas" in str(problems(conf, "lake.catalog=c", "lake.schema=s", "lake.views=S"))
    assert (
        load_settings(
            "local", conf=conf, overrides=["lake.catalog=c", "lake.schema=s", "lake.scratch=/v"]
        ).lake.schema_name
        == "s"
    )
    assert LakeSettings(root="a/b/").scratch_root == "a/b/_scratch"


def test_spark_options_keep_their_dots_and_are_text(conf: Path) -> None:
    (conf / "base.yaml").write_text("spark: {conf: {spark.speculation: true, spark.task.cpus: 2}}\n")
    settings = load_settings(
        "local", conf=conf, overrides=["spark.conf.spark.sql.files.maxPartitionBytes=1m"]
    )
    assert settings.spark.conf == {
        "spark.speculation": "true",
        "spark.task.cpus": "2",
        "spark.sql.files.maxPartitionBytes": "1m",
    }


def test_set_takes_null_lists_and_texts_that_look_like_figures(conf: Path) -> None:
    overrides = [
        "spark.driver_memory=null",
        "spark.packages=[a:b:1, c:d:2]",
        "s3.access_key=0123",
        "s3.secret_key=1e5",
    ]
    settings = load_settings("local", conf=conf, overrides=overrides)
    assert settings.spark.driver_memory is None
    assert settings.spark.packages == ("a:b:1", "c:d:2")
    assert settings.s3.access_key is not None
    assert settings.s3.access_key.get_secret_value() == "0123"


def test_an_unknown_placeholder_is_refused(conf: Path) -> None:
    assert "unknown placeholder {day}" in str(problems(conf, "input.root=raw-{day}"))


def test_no_secret_is_shown_anywhere(conf: Path) -> None:
    overrides = [
        "s3.access_key=AKIAHUSH",
        "s3.secret_key=hush",
        "spark.conf.spark.hadoop.fs.s3a.secret.key=hush",
        "spark.conf.x.password=hush",
    ]
    settings = load_settings("local", conf=conf, overrides=overrides)
    shown = yaml.safe_dump(settings.redacted())
    assert "hush" not in shown.lower()
    assert "***" in shown
    assert "hush" not in repr(settings.s3).lower()
    assert "hush" not in str(
        problems(conf, "s3.secret_key=hush", "spark.confx.password=hush", "s3.ssl=no-such-thing")
    )


def test_digest_follows_results_and_nothing_else() -> None:
    plain = Settings()
    assert (
        plain.digest()
        == Settings(
            spark={"master": "local[7]", "driver_memory": "9g"}, lake={"root": "x"}, env="prod"
        ).digest()
    )
    assert plain.digest() != Settings(ingest={"csv_null": "NA"}).digest()
    assert plain.digest("ingest") == Settings(synth={"customers": 5}).digest("ingest")
    assert plain.digest("synth") != Settings(synth={"seed": 5}).digest("synth")
    assert plain.digest("ingest") == Settings(ingest={"on_existing": "refuse"}).digest("ingest")


def test_settings_cannot_be_changed_and_do_not_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGAGE_SPARK__INPUT__ROOT", "elsewhere")
    settings = Settings()
    assert settings.input.root == "raw"
    with pytest.raises(ValueError, match="frozen"):
        settings.input.root = "x"  # type: ignore[misc]


def test_only_s3_paths_call_for_s3() -> None:
    assert not Settings().uses_s3
    assert Settings(input={"root": "s3a://bucket/raw"}).uses_s3
    assert Settings(lake={"root": "x", "scratch": "s3a://bucket"}).uses_s3


def test_every_setting_says_what_it_means() -> None:
    sections = {
        name: f for name, f in Settings.model_fields.items() if f.annotation in Section.__subclasses__()
    }
    assert len(sections) > 10
    described = {
        f"{name}.{key}": f.description for name in sections for key, f in fields_of(sections[name]).items()
    }
    described |= {name: f.description for name, f in Settings.model_fields.items() if name not in sections}
    assert {key for key, text in described.items() if not text or not text.rstrip().endswith(".")} == set()
    assert {key for key in described if len(str(described[key])) < 10} == set()


def fields_of(section: FieldInfo) -> dict[str, FieldInfo]:
    model = section.annotation
    assert model is not None
    assert issubclass(model, Section)
    return model.model_fields
