"""One server for the session, with two tenants that know nothing of each other."""
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import kubernetes
import pytest
from kubernetes.dynamic import DynamicClient


@dataclass
class Tenant:
    """A logical cluster, and clients of it as a user of the libraries makes them: from a kubeconfig."""
    name: str
    kubeconfig: Path

    @property
    def api(self):
        return kubernetes.config.new_client_from_config(str(self.kubeconfig))

    @property
    def core(self):
        return kubernetes.client.CoreV1Api(self.api)

    @property
    def apps(self):
        return kubernetes.client.AppsV1Api(self.api)

    @property
    def custom(self):
        return kubernetes.client.CustomObjectsApi(self.api)

    @property
    def definitions(self):
        return kubernetes.client.ApiextensionsV1Api(self.api)

    @property
    def dynamic(self):
        return DynamicClient(self.api)


@pytest.fixture(scope="session")
def tenants(tmp_path_factory):
    home = tmp_path_factory.mktemp("atoll")
    atoll = os.environ.get("ATOLL", "atoll")
    admin = home / "admin.kubeconfig"
    server = subprocess.Popen([atoll, "serve", "--data-dir", home, "--listen", "127.0.0.1:0", "--storage", "memory://",
                               "--resources", "all"], stdout=subprocess.PIPE, text=True)
    assert "ready" in server.stdout.readline()

    def tenant(name):
        subprocess.run([atoll, "cluster", "create", name, "--kubeconfig", admin], check=True, stdout=subprocess.DEVNULL)
        path = home / f"{name}.kubeconfig"
        told = subprocess.run([atoll, "kubeconfig", name, "--kubeconfig", admin], check=True, stdout=subprocess.PIPE)
        path.write_bytes(told.stdout)
        return Tenant(name, path)

    yield tenant("team-a"), tenant("team-b")
    server.terminate()
    server.wait()


@pytest.fixture
def ours(tenants):
    return tenants[0]


@pytest.fixture
def theirs(tenants):
    return tenants[1]


def eventually(what, found, patience=30):
    """Waits until `found` gives something that is true, and gives it."""
    end = time.monotonic() + patience
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < end, f"in vain waited for: {what}"
        time.sleep(0.05)


def coral_definition(colour="string"):
    """A custom kind with a status, a scale and a column; `colour` is the type of its one field."""
    schema = {"type": "object", "properties": {
        "spec": {"type": "object", "required": ["colour"], "properties": {
            "colour": {"type": colour}, "polyps": {"type": "integer", "minimum": 0, "default": 1}}},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, "subresources": {
        "status": {}, "scale": {"specReplicasPath": ".spec.polyps", "statusReplicasPath": ".status.polyps"}},
        "additionalPrinterColumns": [{"name": "Colour", "type": colour, "jsonPath": ".spec.colour"}]}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "corals.python.example.com"},
            "spec": {"group": "python.example.com", "scope": "Namespaced", "versions": [version],
                     "names": {"plural": "corals", "singular": "coral", "kind": "Coral", "shortNames": ["co"]}}}
