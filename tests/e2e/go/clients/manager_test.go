// controller-runtime: a manager with its cache and a controller on a definition that envtest's helpers install.
package clients

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: greetings.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: greetings, singular: greeting, kind: Greeting, listKind: GreetingList}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {text: {type: string, minLength: 1}, tone: {type: string, default: friendly}}
          status: {type: object, properties: {copied: {type: boolean}}}
`

var greetingKind = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Greeting"}

func greeting(namespace, name, text string) *unstructured.Unstructured {
	made := &unstructured.Unstructured{}
	made.SetGroupVersionKind(greetingKind)
	made.SetName(name)
	made.SetNamespace(namespace)
	made.Object["spec"] = map[string]any{"text": text}
	return made
}

// copier makes a config map for each greeting and says so in its status.
func copier(c client.Client) reconcile.Func {
	return func(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
		found := greeting("", "", "")
		if err := c.Get(ctx, request.NamespacedName, found); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
		text, _, _ := unstructured.NestedString(found.Object, "spec", "text")
		tone, _, _ := unstructured.NestedString(found.Object, "spec", "tone")
		copied := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: request.Name, Namespace: request.Namespace}}
		_, err := controllerutil.CreateOrUpdate(ctx, c, copied, func() error {
			copied.Data = map[string]string{"text": text, "tone": tone}
			return controllerutil.SetControllerReference(found, copied, c.Scheme())
		})
		if err != nil {
			return ctrl.Result{}, err
		}
		before := found.DeepCopy()
		if err := unstructured.SetNestedField(found.Object, true, "status", "copied"); err != nil {
			return ctrl.Result{}, err
		}
		return ctrl.Result{}, c.Status().Patch(ctx, found, client.MergeFrom(before))
	}
}

func install(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "greetings.yaml")
	must(t, os.WriteFile(file, []byte(definition), 0o600))
	options := envtest.CRDInstallOptions{Paths: []string{file}, ErrorIfPathMissing: true, CleanUpAfterUse: true}
	_, err := envtest.InstallCRDs(shared, options)
	must(t, err)
	t.Cleanup(func() {
		if err := envtest.UninstallCRDs(shared, options); err != nil {
			t.Error(err)
		}
	})
}

func startManager(t *testing.T, namespace string) ctrl.Manager {
	t.Helper()
	manager, err := ctrl.NewManager(shared, ctrl.Options{
		Metrics:        server.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: "copier", LeaderElectionNamespace: namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	must(t, err)
	err = ctrl.NewControllerManagedBy(manager).For(greeting("", "", "")).Owns(&corev1.ConfigMap{}).
		Complete(copier(manager.GetClient()))
	must(t, err)
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { ended <- manager.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return manager
}

func TestAManagerReconcilesAndItsObjectsGoWithTheirOwner(t *testing.T) {
	install(t)
	ns := namespace(t, kubernetes.NewForConfigOrDie(shared))
	manager := startManager(t, ns)
	c, err := client.New(shared, client.Options{})
	must(t, err)
	made := greeting(ns, "morning", "good morning")
	must(t, c.Create(t.Context(), made))
	copied := &corev1.ConfigMap{}
	key := client.ObjectKeyFromObject(made)
	eventually(t, "the config map in the manager's cache", func() bool {
		return manager.GetClient().Get(t.Context(), key, copied) == nil
	})
	if copied.Data["text"] != "good morning" || copied.Data["tone"] != "friendly" || !metav1.IsControlledBy(copied, made) {
		t.Errorf("the config map is %v", copied)
	}
	eventually(t, "the status", func() bool {
		done := greeting("", "", "")
		err := c.Get(t.Context(), key, done)
		isCopied, _, _ := unstructured.NestedBool(done.Object, "status", "copied")
		return err == nil && isCopied
	})
	must(t, c.Delete(t.Context(), made))
	eventually(t, "the config map to go with its owner", func() bool {
		return client.IgnoreNotFound(c.Get(t.Context(), key, copied)) == nil && c.Get(t.Context(), key, copied) != nil
	})
}
