"""An operator written with kopf runs in one tenant, and touches no other."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kubernetes.client.exceptions import ApiException

from conftest import coral_definition, eventually

AT = ("python.example.com", "v1", "default", "corals")
CORAL = {"apiVersion": "python.example.com/v1", "kind": "Coral", "metadata": {"name": "brain"}, "spec": {"colour": "red"}}
OPERATOR = Path(__file__).with_name("operator_of_corals.py")


def define(tenant):
    try:
        tenant.definitions.create_custom_resource_definition(coral_definition())
    except ApiException as error:
        assert error.status == 409


@pytest.fixture
def operator(ours, tmp_path):
    """The operator as a process of its own, which knows the tenant by its kubeconfig."""
    log = tmp_path / "operator.log"
    command = [sys.executable, "-m", "kopf", "run", "--namespace", "default", "--standalone", str(OPERATOR)]
    with log.open("w") as output:
        environment = {**os.environ, "KUBECONFIG": str(ours.kubeconfig)}
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    yield lambda: log.read_text()
    process.terminate()
    assert process.wait(timeout=30) == 0, log.read_text()


def test_an_operator_runs_in_its_tenant_alone(ours, theirs, operator):
    for tenant in (ours, theirs):
        define(tenant)
        tenant.custom.create_namespaced_custom_object(*AT, CORAL)
    coral = lambda: ours.custom.get_namespaced_custom_object(*AT, "brain")
    eventually("the coral to grow", lambda: coral().get("status", {}).get("phase") == "Growing", patience=60)
    child = ours.core.read_namespaced_config_map("coral-brain", "default")
    assert child.data == {"colour": "red"} and child.metadata.owner_references[0].uid == coral()["metadata"]["uid"]
    eventually("the timer to have fired twice", lambda: coral()["status"].get("pulse", 0) >= 2)
    patch = {"spec": {"colour": "blue"}}
    ours.custom.patch_namespaced_custom_object(*AT, "brain", patch, _content_type="application/merge-patch+json")
    eventually("the change to be seen", lambda: coral()["status"].get("colours") == "red to blue")
    events = lambda: [e.reason for e in ours.core.list_namespaced_event("default").items if e.involved_object.name == "brain"]
    eventually("the operator's events", lambda: "Grown" in events())
    ours.custom.delete_namespaced_custom_object(*AT, "brain")
    eventually("the coral to be gone", lambda: not ours.custom.list_namespaced_custom_object(*AT)["items"])
    assert "brain was cleaned up" in operator()
    # The garbage collector takes what the operator made and the coral owned.
    eventually("the child to be gone", lambda: "coral-brain" not in
               [item.metadata.name for item in ours.core.list_namespaced_config_map("default").items])
    untouched = theirs.custom.get_namespaced_custom_object(*AT, "brain")
    assert "status" not in untouched and "finalizers" not in untouched["metadata"]
    with pytest.raises(ApiException):
        theirs.core.read_namespaced_config_map("coral-brain", "default")
