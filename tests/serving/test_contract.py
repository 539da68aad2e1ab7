"""What OpenAPI promises is what is answered, whatever is sent: schemathesis tries."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance
from server import restorer, served

load_all_checks()
HEADERS = {"Authorization": "Bearer secret"}
OPERATIONS = [
    ("post", "/v1/restore"),
    ("post", "/v1/jobs"),
    ("get", "/v1/jobs/{id}"),
    ("get", "/v1/jobs/{id}/result"),
    ("delete", "/v1/jobs/{id}"),
    ("get", "/v1/models"),
    ("get", "/metrics"),
    ("get", "/healthz"),
    ("get", "/readyz"),
]
ASK_NOTHING = ("/healthz", "/readyz")
CASES = [
    (method, path, mode)
    for method, path in OPERATIONS
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or path not in ASK_NOTHING  # where nothing can be wrong
]


@pytest.fixture(scope="module")
def contract():
    models = {task: restorer(task) for task in ("deblur", "inpaint", "sr")}
    with served(models, key="secret", max_jobs=10_000, max_client_jobs=10_000) as client:
        yield schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")


@pytest.mark.parametrize(("method", "path", "mode"), CASES)
def test_every_answer_is_one_that_was_promised(contract, method, path, mode):
    strategy = contract[path][method].as_strategy(generation_mode=mode)
    slow = [HealthCheck.too_slow, HealthCheck.filter_too_much]

    @settings(
        max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=slow
    )
    @given(case=strategy)
    def ask(case):
        # Random bytes are no picture, so what fits the schema may be refused nevertheless.
        case.call_and_validate(headers=HEADERS, excluded_checks=[positive_data_acceptance])

    ask()


def test_every_operation_is_tried(contract):
    told = {(method, path) for path in contract for method in contract[path]}
    assert told == set(OPERATIONS)


def test_every_error_is_described_as_one_sentence_and_every_key_as_wanted(contract):
    problem = {"$ref": "#/components/schemas/Problem"}
    for method, path in OPERATIONS:
        told = contract.raw_schema["paths"][path][method]
        errors = {status: told["responses"][status] for status in told["responses"] if status > "3"}
        assert all(
            error["content"]["application/json"]["schema"] == problem for error in errors.values()
        )
        assert ("401" in errors) == ("security" in told) == (path not in ASK_NOTHING)
