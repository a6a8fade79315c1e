"""The official Python client against a tenant: typed, dynamic, watches, patches, custom kinds, errors."""
import copy
import threading

import pytest
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import ConflictError, ForbiddenError, NotFoundError, ResourceNotFoundError
from kubernetes.stream import stream

from conftest import coral_definition, eventually

NAMESPACE = "default"


def config_map(name, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"app": "python"}), data=data)


def deployment(name):
    container = client.V1Container(name="main", image="example.com/main:1", ports=[client.V1ContainerPort(container_port=80)])
    template = client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels={"app": name}),
                                        spec=client.V1PodSpec(containers=[container]))
    spec = client.V1DeploymentSpec(replicas=2, selector=client.V1LabelSelector(match_labels={"app": name}), template=template)
    return client.V1Deployment(metadata=client.V1ObjectMeta(name=name), spec=spec)


def refused(code, reason):
    """The exception of a call that is refused, with Kubernetes' code and reason."""
    return pytest.raises(ApiException, match=rf"(?s)\({code}\).*\"reason\":\"{reason}\"")


def test_typed_objects_are_created_read_replaced_and_deleted(ours):
    core = ours.core
    made = core.create_namespaced_config_map(NAMESPACE, config_map("typed", colour="red"))
    assert made.metadata.uid and made.metadata.creation_timestamp.tzinfo
    read = core.read_namespaced_config_map("typed", NAMESPACE)
    assert read.data == {"colour": "red"} and read.metadata.resource_version == made.metadata.resource_version
    stale = copy.deepcopy(read)
    read.data["colour"] = "blue"
    replaced = core.replace_namespaced_config_map("typed", NAMESPACE, read)
    assert replaced.data == {"colour": "blue"}
    with refused(409, "Conflict"):
        core.replace_namespaced_config_map("typed", NAMESPACE, stale)
    with refused(409, "AlreadyExists"):
        core.create_namespaced_config_map(NAMESPACE, config_map("typed"))
    core.delete_namespaced_config_map("typed", NAMESPACE, body=client.V1DeleteOptions(
        preconditions=client.V1Preconditions(uid=made.metadata.uid)))
    with refused(404, "NotFound"):
        core.read_namespaced_config_map("typed", NAMESPACE)


def test_faults_are_told_as_kubernetes_tells_them(ours):
    with refused(422, "Invalid"):
        ours.core.create_namespaced_config_map(NAMESPACE, config_map("Not_A_Name"))
    with refused(404, "NotFound"):
        ours.apps.patch_namespaced_deployment("missing", NAMESPACE, {"spec": {"replicas": 1}})
    with refused(404, "NotFound"):
        ours.core.create_namespaced_config_map("nowhere", config_map("x"))
    made = ours.core.create_namespaced_config_map(NAMESPACE, config_map("dry"), dry_run="All")
    assert made.metadata.uid
    with refused(404, "NotFound"):
        ours.core.read_namespaced_config_map("dry", NAMESPACE)


def test_lists_are_paged_and_selected(ours):
    core = ours.core
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name="paged")))
    for number in range(7):
        meta = client.V1ObjectMeta(name=f"page-{number}", labels={"parity": "odd" if number % 2 else "even"})
        core.create_namespaced_secret("paged", client.V1Secret(metadata=meta))
    names, following = [], None
    while True:
        page = core.list_namespaced_secret("paged", limit=3, _continue=following)
        names += [item.metadata.name for item in page.items]
        following = page.metadata._continue
        if not following:
            break
        assert page.metadata.remaining_item_count == 7 - len(names)
    assert names == [f"page-{number}" for number in range(7)]
    one = core.list_namespaced_secret("paged", field_selector="metadata.name=page-3")
    assert [item.metadata.name for item in one.items] == ["page-3"]
    core.delete_collection_namespaced_secret("paged", label_selector="parity=even")
    left = [item.metadata.name for item in core.list_namespaced_secret("paged").items]
    assert left == ["page-1", "page-3", "page-5"]
    core.delete_namespace("paged")
    eventually("the namespace to be gone", lambda: "paged" not in [n.metadata.name for n in core.list_namespace().items])


def test_workloads_have_defaults_a_scale_and_a_status(ours):
    apps = ours.apps
    made = apps.create_namespaced_deployment(NAMESPACE, deployment("typed"))
    assert made.spec.strategy.rolling_update.max_surge == "25%" and made.spec.template.spec.dns_policy == "ClusterFirst"
    scale = apps.read_namespaced_deployment_scale("typed", NAMESPACE)
    scale.spec.replicas = 5
    assert apps.replace_namespaced_deployment_scale("typed", NAMESPACE, scale).spec.replicas == 5
    found = apps.read_namespaced_deployment("typed", NAMESPACE)
    assert (found.spec.replicas, found.metadata.generation) == (5, 2)
    found.status = client.V1DeploymentStatus(observed_generation=2, replicas=5, ready_replicas=4)
    found.spec.replicas = 9
    found = apps.replace_namespaced_deployment_status("typed", NAMESPACE, found)
    assert (found.spec.replicas, found.status.ready_replicas, found.metadata.generation) == (5, 4, 2)
    apps.delete_namespaced_deployment("typed", NAMESPACE, propagation_policy="Background")


def test_each_kind_of_patch_does_what_it_says(ours):
    apps = ours.apps
    apps.create_namespaced_deployment(NAMESPACE, deployment("patched"))
    patch = lambda body, **options: apps.patch_namespaced_deployment("patched", NAMESPACE, body, **options)
    side = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "example.com/side:1"}]}}}}
    containers = lambda found: sorted(container.name for container in found.spec.template.spec.containers)
    assert containers(patch(side, _content_type="application/strategic-merge-patch+json")) == ["main", "side"]
    assert patch([{"op": "replace", "path": "/spec/replicas", "value": 4}]).spec.replicas == 4
    assert containers(patch(side, _content_type="application/merge-patch+json")) == ["side"]
    with pytest.raises(ApiException, match=r"\(422\)"):
        patch([{"op": "test", "path": "/spec/replicas", "value": 7}])
    config = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "patched"}, "spec": {"replicas": 6}}
    as_apply = {"_content_type": "application/apply-patch+yaml"}
    with refused(409, "Conflict"):
        patch(config, field_manager="applier", **as_apply)
    found = patch(config, field_manager="applier", force=True, **as_apply)
    managers = {entry.manager: entry.operation for entry in found.metadata.managed_fields}
    assert found.spec.replicas == 6 and managers["applier"] == "Apply"
    apps.delete_namespaced_deployment("patched", NAMESPACE)


def test_a_watch_tells_every_change_and_can_be_resumed(ours):
    core = ours.core
    version = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    core.create_namespaced_config_map(NAMESPACE, config_map("watched", step="1"))
    core.patch_namespaced_config_map("watched", NAMESPACE, {"data": {"step": "2"}})
    core.delete_namespaced_config_map("watched", NAMESPACE)
    watching = watch.Watch()
    seen = []
    for event in watching.stream(core.list_namespaced_config_map, NAMESPACE, resource_version=version, timeout_seconds=20,
                                 field_selector="metadata.name=watched"):
        seen.append((event["type"], event["object"].data["step"]))
        if len(seen) == 2:
            break
    assert seen == [("ADDED", "1"), ("MODIFIED", "2")]
    again = watch.Watch()
    for event in again.stream(core.list_namespaced_config_map, NAMESPACE, resource_version=watching.resource_version,
                              timeout_seconds=20, field_selector="metadata.name=watched"):
        assert event["type"] == "DELETED"
        again.stop()


def test_a_watch_from_an_unknown_past_is_expired(ours):
    with pytest.raises(ApiException, match=r"\(410\)"):
        for _ in watch.Watch().stream(ours.core.list_namespaced_config_map, NAMESPACE, resource_version="1", timeout_seconds=5):
            pass


def test_custom_kinds_are_served_as_soon_as_they_are_defined(ours):
    ours.definitions.create_custom_resource_definition(coral_definition())
    custom = ours.custom
    at = ("python.example.com", "v1", NAMESPACE, "corals")
    coral = {"apiVersion": "python.example.com/v1", "kind": "Coral", "metadata": {"name": "fan"}, "spec": {"colour": "red"}}
    made = custom.create_namespaced_custom_object(*at, coral)
    assert made["spec"] == {"colour": "red", "polyps": 1} and made["metadata"]["generation"] == 1
    with refused(422, "Invalid"):
        custom.patch_namespaced_custom_object(*at, "fan", {"spec": {"polyps": -1}}, _content_type="application/merge-patch+json")
    status = custom.patch_namespaced_custom_object_status(*at, "fan", {"status": {"polyps": 3}},
                                                          _content_type="application/merge-patch+json")
    assert status["status"] == {"polyps": 3} and status["metadata"]["generation"] == 1
    scale = custom.get_namespaced_custom_object_scale(*at, "fan")
    assert (scale["spec"], scale["status"]) == ({"replicas": 1}, {"replicas": 3})
    assert [item["metadata"]["name"] for item in custom.list_namespaced_custom_object(*at)["items"]] == ["fan"]
    custom.delete_namespaced_custom_object(*at, "fan")


def test_the_dynamic_client_finds_its_way(ours):
    dynamic = ours.dynamic
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dynamic", "labels": {"by": "dynamic"}}, "data": {"a": "1"}}
    made = maps.create(body=body, namespace=NAMESPACE)
    with pytest.raises(ConflictError):
        maps.create(body=body, namespace=NAMESPACE)
    patched = maps.patch(name="dynamic", namespace=NAMESPACE, body={"data": {"b": "2"}}, content_type="application/merge-patch+json")
    assert patched.data.to_dict() == {"a": "1", "b": "2"}
    applied = maps.server_side_apply(body={**body, "data": {"c": "3"}}, name="dynamic", namespace=NAMESPACE, field_manager="python")
    assert applied.data.to_dict() == {"a": "1", "b": "2", "c": "3"}
    assert [item.metadata.name for item in maps.get(namespace=NAMESPACE, label_selector="by=dynamic").items] == ["dynamic"]
    events = maps.watch(namespace=NAMESPACE, resource_version=made.metadata.resourceVersion, timeout=20,
                        field_selector="metadata.name=dynamic")
    assert next(events)["object"].data.to_dict() == {"a": "1", "b": "2"}
    maps.delete(name="dynamic", namespace=NAMESPACE)
    with pytest.raises(NotFoundError):
        maps.get(name="dynamic", namespace=NAMESPACE)
    scales = dynamic.resources.get(api_version="apps/v1", kind="Deployment").subresources["scale"]
    assert scales.kind == "Scale"


def test_what_needs_a_node_says_so(ours):
    core = ours.core
    eventually("the default service account", lambda: [a for a in core.list_namespaced_service_account(NAMESPACE).items])
    container = client.V1Container(name="main", image="example.com/main:1")
    pod = client.V1Pod(metadata=client.V1ObjectMeta(name="lonely"), spec=client.V1PodSpec(containers=[container]))
    assert core.create_namespaced_pod(NAMESPACE, pod).status.phase == "Pending"
    assert not core.read_namespaced_pod_log("lonely", NAMESPACE)
    with pytest.raises(ApiException, match="(?s)400 Bad Request.*does not have a host assigned"):
        stream(core.connect_get_namespaced_pod_exec, "lonely", NAMESPACE, command=["ls"], stdout=True)
    with pytest.raises(ApiException, match="(?s)404 Not Found"):
        stream(core.connect_get_namespaced_pod_exec, "missing", NAMESPACE, command=["ls"], stdout=True)
    core.delete_namespaced_pod("lonely", NAMESPACE, grace_period_seconds=0)


def test_a_service_account_has_its_rights_and_no_others(ours):
    core, rights = ours.core, client.RbacAuthorizationV1Api(ours.api)
    core.create_namespaced_service_account(NAMESPACE, {"metadata": {"name": "reader"}})
    rule = client.V1PolicyRule(api_groups=[""], resources=["configmaps"], verbs=["get", "list"])
    rights.create_namespaced_role(NAMESPACE, client.V1Role(metadata=client.V1ObjectMeta(name="reader"), rules=[rule]))
    rights.create_namespaced_role_binding(NAMESPACE, client.V1RoleBinding(
        metadata=client.V1ObjectMeta(name="reader"),
        role_ref=client.V1RoleRef(api_group="rbac.authorization.k8s.io", kind="Role", name="reader"),
        subjects=[client.RbacV1Subject(kind="ServiceAccount", name="reader", namespace=NAMESPACE)]))
    token = core.create_namespaced_service_account_token("reader", NAMESPACE, client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600))).status.token
    as_reader = with_token(ours, token)
    assert as_reader.list_namespaced_config_map(NAMESPACE).items is not None
    with refused(403, "Forbidden"):
        as_reader.list_namespaced_secret(NAMESPACE)
    review = client.AuthenticationV1Api(as_reader.api_client).create_self_subject_review({})
    assert review.status.user_info.username == f"system:serviceaccount:{NAMESPACE}:reader"


def with_token(tenant, token):
    """A client that has nothing but a token to say who it is."""
    api = tenant.api
    configuration = api.configuration
    configuration.cert_file = configuration.key_file = None
    configuration.api_key = {"authorization": f"Bearer {token}"}
    return client.CoreV1Api(client.ApiClient(configuration))


def test_nothing_crosses_from_tenant_to_tenant(ours, theirs):
    events = []
    version = theirs.core.list_config_map_for_all_namespaces().metadata.resource_version
    watching = watch.Watch()

    def follow():
        for event in watching.stream(theirs.core.list_config_map_for_all_namespaces, resource_version=version, timeout_seconds=20):
            events.append(event["object"].metadata.name)
            if event["object"].metadata.name == "the-end":
                break

    follower = threading.Thread(target=follow)
    follower.start()
    ours.core.create_namespaced_config_map(NAMESPACE, config_map("ours", secret="of team-a"))
    theirs.core.create_namespaced_config_map(NAMESPACE, config_map("the-end"))
    follower.join()
    assert "ours" not in events and "the-end" in events
    with refused(404, "NotFound"):
        theirs.core.read_namespaced_config_map("ours", NAMESPACE)
    theirs.definitions.create_custom_resource_definition(coral_definition(colour="integer"))
    coral = {"apiVersion": "python.example.com/v1", "kind": "Coral", "metadata": {"name": "number"}, "spec": {"colour": 7}}
    theirs.custom.create_namespaced_custom_object("python.example.com", "v1", NAMESPACE, "corals", coral)
    token = ours.core.create_namespaced_service_account_token("default", NAMESPACE, client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(audiences=[]))).status.token
    with pytest.raises(ApiException, match=r"\(401\)"):
        with_token(theirs, token).list_namespaced_config_map(NAMESPACE)
    with pytest.raises(ResourceNotFoundError):
        theirs.dynamic.resources.get(api_version="nowhere.example.com/v1", kind="Nothing")
    theirs.definitions.delete_custom_resource_definition("corals.python.example.com")
