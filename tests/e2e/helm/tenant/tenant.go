// Package tenant is what the tests of Helm's versions have in common: a server, logical clusters of it in which somebody
// plays kubelets and controllers, and looks at what a chart has made there. ATOLL names the server's binary.
package tenant

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Where the server keeps what it writes, its administrator's kubeconfig among it.
var home string

// Run runs a package's tests on a server of their own, and skips them if there is none.
func Run(m *testing.M) int {
	if os.Getenv("ATOLL") == "" {
		fmt.Println("SKIPPED: ATOLL names no binary of the server")
		return 0
	}
	var err error
	if home, err = os.MkdirTemp("", "atoll-helm-"); err != nil {
		fmt.Println("there is no room for the server:", err)
		return 1
	}
	defer os.RemoveAll(home)
	server := exec.Command(os.Getenv("ATOLL"), "serve", "--data-dir", home, "--listen", "127.0.0.1:0",
		"--storage", "memory://", "--service-cluster-ip-range", "10.96.0.0/16")
	server.Stderr = os.Stderr
	said, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		fmt.Println("the server does not start:", err)
		return 1
	}
	defer func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	}()
	if line, err := bufio.NewReader(said).ReadString('\n'); err != nil || !strings.Contains(line, "ready") {
		fmt.Println("the server is not ready, it said", line, err)
		return 1
	}
	return m.Run()
}

// Patience is how long Helm may wait for anything on a busy machine.
const Patience = 60 * time.Second

// Tenant is a logical cluster with a namespace.
type Tenant struct {
	Name, Namespace string
	// How Helm is told of it.
	Flags *genericclioptions.ConfigFlags
	// Clients to look at what Helm has done.
	Set kubernetes.Interface
	Any dynamic.Interface
}

// New makes a logical cluster, in which somebody plays kubelets and controllers until the test ends.
func New(t *testing.T, name string) *Tenant {
	t.Helper()
	admin := filepath.Join(home, "admin.kubeconfig")
	made := exec.Command(os.Getenv("ATOLL"), "cluster", "create", name, "--kubeconfig", admin)
	if said, err := made.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", said, err)
	}
	text, err := exec.Command(os.Getenv("ATOLL"), "kubeconfig", name, "--kubeconfig", admin).Output()
	Must(t, err)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	Must(t, os.WriteFile(file, text, 0o600))
	config, err := clientcmd.BuildConfigFromFlags("", file)
	Must(t, err)
	// Helm looks for the discovery documents of a host in a folder; each test begins without any.
	flags := genericclioptions.NewConfigFlags(true)
	namespace, cache := "store", t.TempDir()
	flags.KubeConfig, flags.Namespace, flags.CacheDir = &file, &namespace, &cache
	k := &Tenant{name, namespace, flags, kubernetes.NewForConfigOrDie(config), dynamic.NewForConfigOrDie(config)}
	stop, done := context.WithCancel(context.Background())
	ended := k.play(stop)
	t.Cleanup(func() { done(); <-ended })
	return k
}

// Shelf is what the chart's custom resource says.
func (k *Tenant) Shelf(t *testing.T) map[string]any {
	t.Helper()
	shelves := k.Any.Resource(schema.GroupVersionResource{Group: "shop.example.com", Version: "v1", Resource: "shelves"})
	found, err := shelves.Namespace(k.Namespace).Get(t.Context(), "web", metav1.GetOptions{})
	Must(t, err)
	spec, _ := found.Object["spec"].(map[string]any)
	return spec
}

// Told is what the chart wrote of itself.
func (k *Tenant) Told(t *testing.T) map[string]string {
	t.Helper()
	found, err := k.Set.CoreV1().ConfigMaps(k.Namespace).Get(t.Context(), "web-told", metav1.GetOptions{})
	Must(t, err)
	return found.Data
}

// Deployed is the chart's deployment.
func (k *Tenant) Deployed(t *testing.T) *appsv1.Deployment {
	t.Helper()
	found, err := k.Set.AppsV1().Deployments(k.Namespace).Get(t.Context(), "web", metav1.GetOptions{})
	Must(t, err)
	return found
}

// Environment is what the deployment's container is told.
func (k *Tenant) Environment(t *testing.T) map[string]string {
	t.Helper()
	told := map[string]string{}
	for _, variable := range k.Deployed(t).Spec.Template.Spec.Containers[0].Env {
		told[variable.Name] = variable.Value
	}
	return told
}

// IsGone fails the test where something was found.
func IsGone(t *testing.T, what string, err error) {
	t.Helper()
	if !apierrors.IsNotFound(err) {
		t.Errorf("%s is still there: %v", what, err)
	}
}

// Must ends the test where there is an error.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Same fails the test where something is not as it should be.
func Same[T comparable](t *testing.T, what string, found, wanted T) {
	t.Helper()
	if found != wanted {
		t.Errorf("%s is %v, not %v", what, found, wanted)
	}
}
