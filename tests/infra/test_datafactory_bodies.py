"""Data Factory's bodies are what the models of Microsoft's own client hold, to the last property."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from mrikit.estate.declared import Record

from .arm_bodies import wire_body
from .arm_schemas import ArmSchemas
from .datafactory_models import MODELS, lost_on_the_way, model_faults

Bodies = dict[str, dict[str, Any]]


def test_every_kind_of_body_is_there(record: Record, arm_schemas: ArmSchemas):
    assert {body["type"] for body in _bodies(record, arm_schemas).values()} == set(MODELS)


def test_a_body_is_the_same_after_it_was_a_model(record: Record, arm_schemas: ArmSchemas):
    bodies = _bodies(record, arm_schemas)

    assert {name: lost_on_the_way(body) for name, body in bodies.items()} == {name: [] for name in bodies}


def test_every_part_of_a_body_keeps_the_rules_of_its_model(record: Record, arm_schemas: ArmSchemas):
    bodies = _bodies(record, arm_schemas)

    assert {name: model_faults(body) for name, body in bodies.items()} == {name: [] for name in bodies}


@pytest.fixture(scope="session")
def copy_pipeline(dev_record: Record, arm_schemas: ArmSchemas) -> dict[str, Any]:
    """The body of the pipeline that copies an archive as it is."""
    return _bodies(dev_record, arm_schemas)["copy-archive"]


def _retry_soon(activity: dict[str, Any]) -> None:
    activity["policy"]["retryIntervalInSeconds"] = 5


def _unknown_type(activity: dict[str, Any]) -> None:
    activity["type"] = "Cpoy"


def _unknown_store(activity: dict[str, Any]) -> None:
    activity["typeProperties"]["source"]["storeSettings"]["type"] = "HtpReadSettings"


def _misspelt_beside_the_type(activity: dict[str, Any]) -> None:
    activity["policiy"] = activity.pop("policy")


def _without_source(activity: dict[str, Any]) -> None:
    del activity["typeProperties"]["source"]


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (_retry_soon, "activities[0].policy.retry_interval_in_seconds: 5 breaks minimum 30"),
        (_unknown_type, "activities[0]: Activity is a base, so its type is none of those that there are"),
        (_unknown_store, "activities[0].source.store_settings: StoreReadSettings is a base, so its type is none"),
        (_misspelt_beside_the_type, "activities[0].policiy: CopyActivity knows no such property"),
        (_without_source, "activities[0].source: required"),
    ],
)
def test_a_broken_rule_is_named_by_its_path(
    copy_pipeline: dict[str, Any], spoil: Callable[[dict[str, Any]], None], fault: str
):
    body = copy.deepcopy(copy_pipeline)
    spoil(body["properties"]["activities"][0])

    assert any(one.startswith(f"PipelineResource.{fault}") for one in model_faults(body))


def test_a_misspelt_property_is_lost_on_the_way(copy_pipeline: dict[str, Any]):
    body = copy.deepcopy(copy_pipeline)
    settings = body["properties"]["activities"][0]["typeProperties"]
    settings["dataIntegrationUnit"] = settings.pop("dataIntegrationUnits")

    assert lost_on_the_way(body) == ["properties.activities[0].typeProperties.dataIntegrationUnit: 4 became None"]


def _bodies(record: Record, schemas: ArmSchemas) -> Bodies:
    """By the name of the resource."""
    return {one.name: wire_body(one, schemas) for one in record.resources if one.type.startswith("datafactory:")}
