// What delivers from a repository: Flux's library for server-side apply, which tries each object before it applies it, finds
// what others have changed, makes anew what cannot be changed, and takes away what is no longer in the repository.
package clients

import (
	"bytes"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/normalize"
	"github.com/fluxcd/pkg/ssa/utils"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// delivery is what is delivered, and what delivers it, in the name of an owner.
func delivery(t *testing.T) ([]*unstructured.Unstructured, *ssa.ResourceManager) {
	t.Helper()
	text, err := os.ReadFile("testdata/delivered.yaml")
	must(t, err)
	objects, err := utils.ReadObjects(bytes.NewReader(text))
	must(t, err)
	web, err := rest.HTTPClientFor(shared)
	must(t, err)
	mapper, err := apiutil.NewDynamicRESTMapper(shared, web)
	must(t, err)
	made, err := client.New(shared, client.Options{Mapper: mapper})
	must(t, err)
	poller := polling.NewStatusPoller(made, mapper, polling.Options{})
	manager := ssa.NewResourceManager(made, poller, ssa.Owner{Field: "deliverer", Group: "deliver.example.com"})
	manager.SetOwnerLabels(objects, "one", "delivered")
	must(t, normalize.UnstructuredList(objects))
	return objects, manager
}

// named is one of the objects.
func named(t *testing.T, objects []*unstructured.Unstructured, kind string) *unstructured.Unstructured {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() == kind {
			return object
		}
	}
	t.Fatalf("there is no %s", kind)
	return nil
}

// applied fails the test unless all that was applied had one effect.
func applied(t *testing.T, set *ssa.ChangeSet, err error, wanted ssa.Action) {
	t.Helper()
	must(t, err)
	for subject, action := range set.ToMap() {
		if action != wanted {
			t.Errorf("%s is %s, not %s", subject, action, wanted)
		}
	}
}

func TestWhatIsDeliveredIsAppliedOnceAndKeptAsItIsDelivered(t *testing.T) {
	objects, manager := delivery(t)
	options := ssa.DefaultApplyOptions()
	options.WaitInterval = 100 * time.Millisecond
	made, err := manager.ApplyAllStaged(t.Context(), objects, options)
	applied(t, made, err, ssa.CreatedAction)
	again, err := manager.ApplyAllStaged(t.Context(), objects, options)
	applied(t, again, err, ssa.UnchangedAction)

	// Somebody changes what is delivered, and adds to it.
	set := kubernetes.NewForConfigOrDie(shared)
	change := `{"metadata": {"labels": {"theirs": "yes"}}, "spec": {"template": {"spec": {"containers": [
		{"name": "web", "image": "web:2", "ports": [{"containerPort": 81, "protocol": "TCP"}]}]}}}}`
	deployments := set.AppsV1().Deployments("delivered")
	_, err = deployments.Patch(t.Context(), "one", types.StrategicMergePatchType, []byte(change), metav1.PatchOptions{FieldManager: "kubectl-edit"})
	must(t, err)
	_, err = set.CoreV1().Secrets("delivered").Patch(t.Context(), "one", types.MergePatchType,
		[]byte(`{"stringData": {"password": "theirs"}}`), metav1.PatchOptions{})
	must(t, err)
	for kind, wanted := range map[string]ssa.Action{
		"Deployment": ssa.ConfiguredAction, "Secret": ssa.ConfiguredAction, "Service": ssa.UnchangedAction, "Parcel": ssa.UnchangedAction,
	} {
		entry, _, _, err := manager.Diff(t.Context(), named(t, objects, kind), ssa.DefaultDiffOptions())
		must(t, err)
		if entry.Action != wanted {
			t.Errorf("%s would be %s", kind, entry.Action)
		}
	}
	// What kubectl has done by hand is to be undone whole.
	options.Cleanup.FieldManagers = []ssa.FieldManager{{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationUpdate}}
	back, err := manager.ApplyAllStaged(t.Context(), objects, options)
	must(t, err)
	for _, action := range back.ToMap() {
		if action == ssa.CreatedAction {
			t.Errorf("what was there was made: %v", back)
		}
	}
	found, err := deployments.Get(t.Context(), "one", metav1.GetOptions{})
	must(t, err)
	container := found.Spec.Template.Spec.Containers[0]
	if container.Image != "web:1" || len(container.Ports) != 2 || found.Labels["theirs"] != "" {
		t.Errorf("after the next delivery it is %v", found)
	}
	again, err = manager.ApplyAllStaged(t.Context(), objects, options)
	applied(t, again, err, ssa.UnchangedAction)
	deliverAnew(t, objects, manager, options)
	takeAway(t, objects, manager)
}

// deliverAnew changes what cannot be changed, and the version of a definition.
func deliverAnew(t *testing.T, objects []*unstructured.Unstructured, manager *ssa.ResourceManager, options ssa.ApplyOptions) {
	t.Helper()
	job := named(t, objects, "Job").DeepCopy()
	containers := []any{map[string]any{"name": "once", "image": "once:2"}}
	must(t, unstructured.SetNestedSlice(job.Object, containers, "spec", "template", "spec", "containers"))
	if _, err := manager.Apply(t.Context(), job, options); err == nil {
		t.Error("a job got another template")
	}
	forced := options
	forced.Force = true
	entry, err := manager.Apply(t.Context(), job, forced)
	must(t, err)
	if entry.Action != ssa.CreatedAction {
		t.Errorf("the job was %s", entry.Action)
	}

	definition := named(t, objects, "CustomResourceDefinition").DeepCopy()
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	must(t, err)
	next := (&unstructured.Unstructured{Object: versions[0].(map[string]any)}).DeepCopy().Object
	next["name"] = "v2"
	must(t, unstructured.SetNestedField(next, map[string]any{"type": "string", "default": "slow"},
		"schema", "openAPIV3Schema", "properties", "spec", "properties", "speed"))
	versions[0].(map[string]any)["storage"] = false
	must(t, unstructured.SetNestedSlice(definition.Object, append(versions, next), "spec", "versions"))
	_, err = manager.Apply(t.Context(), definition, options)
	must(t, err)
	parcel := named(t, objects, "Parcel")
	parcel.SetAPIVersion("delivered.example.com/v2")
	migrating := options
	migrating.MigrateAPIVersion = true
	eventually(t, "the next version", func() bool {
		_, err := manager.Apply(t.Context(), parcel, migrating)
		return err == nil
	})
	seen := parcel.DeepCopy()
	must(t, manager.Client().Get(t.Context(), client.ObjectKeyFromObject(parcel), seen))
	speed, _, _ := unstructured.NestedString(seen.Object, "spec", "speed")
	if speed != "slow" {
		t.Errorf("in its next version the parcel is %v", seen.Object)
	}
	for _, entry := range seen.GetManagedFields() {
		if entry.APIVersion != "delivered.example.com/v2" {
			t.Errorf("its fields are owned in %s", entry.APIVersion)
		}
	}
}

// takeAway deletes what was delivered, and nothing else.
func takeAway(t *testing.T, objects []*unstructured.Unstructured, manager *ssa.ResourceManager) {
	t.Helper()
	theirs := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "theirs", "namespace": "delivered"},
	}}
	must(t, manager.Client().Create(t.Context(), theirs.DeepCopy()))
	options := ssa.DefaultDeleteOptions()
	options.Inclusions = manager.GetOwnerLabels("one", "delivered")
	var stale []*unstructured.Unstructured
	for _, object := range objects {
		// Nobody plays the controllers that let claims go; the namespace is looked at before it goes.
		if kind := object.GetKind(); kind != "PersistentVolumeClaim" && kind != "Namespace" {
			stale = append(stale, object)
		}
	}
	gone, err := manager.DeleteAll(t.Context(), append(slices.Clone(stale), theirs), options)
	must(t, err)
	for subject, action := range gone.ToMap() {
		if (action == ssa.DeletedAction) == (subject == "ConfigMap/delivered/theirs") {
			t.Errorf("%s is %s", subject, action)
		}
	}
	must(t, manager.WaitForTermination(stale, ssa.WaitOptions{Interval: 100 * time.Millisecond, Timeout: patience}))
	err = manager.Client().Get(t.Context(), client.ObjectKeyFromObject(stale[1]), stale[1].DeepCopy())
	if !apierrors.IsNotFound(err) {
		t.Errorf("%s is still there: %v", stale[1].GetName(), err)
	}
}
