"""An operator as its author would write it: it keeps a ConfigMap for each coral, and cleans up after it."""
import asyncio

import kopf
import kubernetes


@kopf.on.startup()
def settings(settings: kopf.OperatorSettings, **_):
    settings.persistence.finalizer = "python.example.com/operator"


@kopf.on.create("python.example.com", "v1", "corals")
async def created(spec, name, body, patch, **_):
    kubernetes.config.load_kube_config()
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"coral-{name}"}, "data": {"colour": spec["colour"]}}
    kopf.adopt(child)
    await asyncio.to_thread(kubernetes.client.CoreV1Api().create_namespaced_config_map, body["metadata"]["namespace"], child)
    patch.status["phase"] = "Growing"
    kopf.info(body, reason="Grown", message="A colony has settled.")
    return {"child": child["metadata"]["name"]}


@kopf.on.field("python.example.com", "v1", "corals", field="spec.colour")
def recoloured(old, new, patch, **_):
    if old is not None:
        patch.status["colours"] = f"{old} to {new}"


@kopf.on.delete("python.example.com", "v1", "corals")
def deleted(name, logger, **_):
    logger.info(f"{name} was cleaned up")


@kopf.timer("python.example.com", "v1", "corals", interval=0.5)
def pulse(patch, status, **_):
    patch.status["pulse"] = status.get("pulse", 0) + 1
