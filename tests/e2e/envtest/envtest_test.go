// Package envtest runs a controller's suite with controller-runtime's envtest, unchanged, on Atoll in the place of
// kube-apiserver and etcd: KUBEBUILDER_ASSETS names what `atoll envtest --dir DIR` wrote.
package envtest

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// How long anything may take to come about on a busy machine.
const patience = 30 * time.Second

var greetingKind = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Greeting"}

// The environment all tests share, as suites do.
var (
	environment *envtest.Environment
	config      *rest.Config
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		println("SKIPPED: KUBEBUILDER_ASSETS names no directory that `atoll envtest` wrote")
		return 0
	}
	log.SetLogger(logr.Discard())
	environment = &envtest.Environment{
		CRDDirectoryPaths:     []string{"testdata/crds"},
		ErrorIfCRDPathMissing: true,
		WebhookInstallOptions: envtest.WebhookInstallOptions{Paths: []string{"testdata/webhooks"}},
	}
	began := time.Now()
	var err error
	if config, err = environment.Start(); err != nil {
		println("the environment does not start:", err.Error())
		return 1
	}
	println("envtest is up, with CRDs and webhooks, after", time.Since(began).Milliseconds(), "ms")
	code := m.Run()
	if err := environment.Stop(); err != nil {
		println("the environment does not stop:", err.Error())
		return 1
	}
	return code
}

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	made, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func greeting(name, text string) *unstructured.Unstructured {
	made := &unstructured.Unstructured{}
	made.SetGroupVersionKind(greetingKind)
	made.SetName(name)
	made.SetNamespace("default")
	made.Object["spec"] = map[string]any{"text": text}
	return made
}

func eventually(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !isSo(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

func TestCustomResourcesAreCheckedAndDefaulted(t *testing.T) {
	c := newClient(t, config)
	made := greeting("checked", "hello")
	if err := c.Create(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	if tone, _, _ := unstructured.NestedString(made.Object, "spec", "tone"); tone != "friendly" {
		t.Errorf("the default of spec.tone is %q", tone)
	}
	if err := c.Create(t.Context(), greeting("empty", "")); !apierrors.IsInvalid(err) {
		t.Errorf("a text that is too short got %v", err)
	}
}

func TestTheServerIsReadyAndSpeaksKubernetes(t *testing.T) {
	set := kubernetes.NewForConfigOrDie(config)
	ready, err := set.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context())
	if err != nil || string(ready) != "ok" {
		t.Errorf("readyz says %q, %v", ready, err)
	}
	version, err := set.Discovery().ServerVersion()
	if err != nil || version.Major != "1" {
		t.Errorf("the version is %v, %v", version, err)
	}
	// Without the controllers, a pod can be created all the same: envtest disables the ServiceAccount plugin.
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
	if _, err := set.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
}

func TestUsersHaveTheRightsTheyAreGranted(t *testing.T) {
	user, err := environment.AddUser(envtest.User{Name: "alice", Groups: []string{"devs"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = newClient(t, user.Config()).List(t.Context(), &corev1.SecretList{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("somebody without rights got %v", err)
	}
}

// A reconciler as in any suite: it makes a config map for each greeting, and says so in its status.
func reconcile(c client.Client) func(context.Context, ctrl.Request) (ctrl.Result, error) {
	return func(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
		found := greeting("", "")
		if err := c.Get(ctx, request.NamespacedName, found); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
		text, _, _ := unstructured.NestedString(found.Object, "spec", "text")
		copied := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: request.Name, Namespace: request.Namespace}}
		_, err := controllerutil.CreateOrUpdate(ctx, c, copied, func() error {
			copied.Data = map[string]string{"text": text}
			return controllerutil.SetControllerReference(found, copied, c.Scheme())
		})
		if err != nil {
			return ctrl.Result{}, err
		}
		if err := unstructured.SetNestedField(found.Object, true, "status", "copied"); err != nil {
			return ctrl.Result{}, err
		}
		return ctrl.Result{}, c.Status().Update(ctx, found)
	}
}

func startManager(t *testing.T, options ctrl.Options, setUp func(ctrl.Manager) error) {
	t.Helper()
	options.Metrics = server.Options{BindAddress: "0"}
	manager, err := ctrl.NewManager(config, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := setUp(manager); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { ended <- manager.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

type reconcileFunc func(context.Context, ctrl.Request) (ctrl.Result, error)

func (f reconcileFunc) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return f(ctx, request)
}

func TestAControllerReconciles(t *testing.T) {
	startManager(t, ctrl.Options{}, func(manager ctrl.Manager) error {
		return ctrl.NewControllerManagedBy(manager).
			For(greeting("", "")).
			Owns(&corev1.ConfigMap{}).
			Complete(reconcileFunc(reconcile(manager.GetClient())))
	})
	c := newClient(t, config)
	made := greeting("reconciled", "good morning")
	if err := c.Create(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	copied := &corev1.ConfigMap{}
	key := client.ObjectKeyFromObject(made)
	eventually(t, "the config map", func() bool { return c.Get(t.Context(), key, copied) == nil })
	if copied.Data["text"] != "good morning" || !metav1.IsControlledBy(copied, made) {
		t.Errorf("the config map is %v", copied)
	}
	eventually(t, "the status", func() bool {
		done := greeting("", "")
		err := c.Get(t.Context(), key, done)
		copied, _, _ := unstructured.NestedBool(done.Object, "status", "copied")
		return err == nil && copied
	})
	// What was made is made again.
	if err := c.Delete(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the config map, again", func() bool {
		again := &corev1.ConfigMap{}
		return c.Get(t.Context(), key, again) == nil && again.UID != copied.UID
	})
}

func TestWebhooksAreInstalledAndAsked(t *testing.T) {
	c := newClient(t, config)
	installed := &unstructured.Unstructured{}
	installed.SetGroupVersionKind(schema.GroupVersionKind{
		Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingWebhookConfiguration",
	})
	if err := c.Get(t.Context(), client.ObjectKey{Name: "polite"}, installed); err != nil {
		t.Fatal(err)
	}
	webhooks, _, _ := unstructured.NestedSlice(installed.Object, "webhooks")
	url, _, _ := unstructured.NestedString(webhooks[0].(map[string]any), "clientConfig", "url")
	if url == "" {
		t.Errorf("the webhook has no URL: %v", installed.Object)
	}
	options := environment.WebhookInstallOptions
	hooks := webhook.NewServer(webhook.Options{
		Host: options.LocalServingHost, Port: options.LocalServingPort, CertDir: options.LocalServingCertDir,
	})
	hooks.Register("/polite", &admission.Webhook{Handler: admission.HandlerFunc(
		func(context.Context, admission.Request) admission.Response {
			return admission.Denied("that is not polite")
		},
	)})
	startManager(t, ctrl.Options{WebhookServer: hooks}, func(manager ctrl.Manager) error {
		manager.GetWebhookServer()
		return nil
	})
	eventually(t, "the webhook's listener", func() bool { return hooks.StartedChecker()(&http.Request{}) == nil })
	err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "rude"}})
	if !apierrors.IsForbidden(err) {
		t.Errorf("what the webhook denies got %v", err)
	}
}

func TestStoppingAndStartingAgainBeginsFromNothing(t *testing.T) {
	for range 2 {
		second := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("testdata", "crds")}}
		began := time.Now()
		config, err := second.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("up after %d ms", time.Since(began).Milliseconds())
		c := newClient(t, config)
		if err := c.Create(t.Context(), greeting("only", "hello")); err != nil {
			t.Error(err)
		}
		began = time.Now()
		if err := second.Stop(); err != nil {
			t.Fatal(err)
		}
		t.Logf("down after %d ms", time.Since(began).Milliseconds())
	}
}
