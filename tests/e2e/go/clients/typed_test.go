// Typed, dynamic and metadata clients: reading, writing, watching, in each encoding they ask for.
package clients

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/util/retry"

	"k8s.io/apimachinery/pkg/runtime"
)

const protobuf = "application/vnd.kubernetes.protobuf"

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// namespace makes a namespace for one test.
func namespace(t *testing.T, set kubernetes.Interface) string {
	t.Helper()
	wanted := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	made, err := set.CoreV1().Namespaces().Create(t.Context(), wanted, metav1.CreateOptions{})
	must(t, err)
	return made.Name
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "web"}}, Data: data}
}

func deployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
			},
		},
	}
}

// The encodings a typed client is configured with, and what then travels.
func TestTypedClientsReadAndWrite(t *testing.T) {
	cases := map[string]struct {
		configure func(*rest.Config)
		travels   string
	}{
		"as they come": {configure: func(*rest.Config) {}, travels: ""},
		"protobuf":     {configure: func(c *rest.Config) { c.ContentType = protobuf }, travels: protobuf},
		"json":         {configure: func(c *rest.Config) { c.ContentType = "application/json" }, travels: "application/json"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			config, seen := recorded()
			c.configure(config)
			set := kubernetes.NewForConfigOrDie(config)
			readAndWrite(t, set, namespace(t, set))
			odd := seen.those(func(e exchange) bool {
				return c.travels != "" && e.method != "PATCH" && !strings.HasPrefix(e.came, c.travels)
			})
			if len(odd) > 0 {
				t.Errorf("these came otherwise than asked for: %+v", odd)
			}
		})
	}
}

func readAndWrite(t *testing.T, set kubernetes.Interface, namespace string) {
	maps := set.CoreV1().ConfigMaps(namespace)
	watching, err := maps.Watch(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	must(t, err)
	defer watching.Stop()

	made, err := maps.Create(t.Context(), configMap("one", map[string]string{"a": "1"}), metav1.CreateOptions{})
	must(t, err)
	if made.UID == "" || made.Namespace != namespace {
		t.Errorf("what was made is %v", made)
	}
	stale := made.DeepCopy()
	made.Data["a"] = "2"
	made.BinaryData = map[string][]byte{"b": {0, 1, 0xff}}
	changed, err := maps.Update(t.Context(), made, metav1.UpdateOptions{})
	must(t, err)
	stale.Data["a"] = "3"
	if _, err := maps.Update(t.Context(), stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("an update with a stale version got %v", err)
	}
	patch := []byte(`{"data":{"c":"4"}}`)
	for _, kind := range []types.PatchType{types.MergePatchType, types.StrategicMergePatchType} {
		_, err = maps.Patch(t.Context(), "one", kind, patch, metav1.PatchOptions{})
		must(t, err)
	}
	read, err := maps.Get(t.Context(), "one", metav1.GetOptions{})
	must(t, err)
	if read.Data["a"] != "2" || read.Data["c"] != "4" || string(read.BinaryData["b"]) != "\x00\x01\xff" {
		t.Errorf("what was read is %v", read)
	}
	if read.ResourceVersion == changed.ResourceVersion {
		t.Error("the patch left the version as it was")
	}
	must(t, maps.Delete(t.Context(), "one", metav1.DeleteOptions{}))
	if _, err := maps.Get(t.Context(), "one", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what was deleted got %v", err)
	}
	for _, wanted := range []watch.EventType{watch.Added, watch.Modified, watch.Modified, watch.Deleted} {
		event := <-watching.ResultChan()
		if _, isMap := event.Object.(*corev1.ConfigMap); event.Type != wanted || !isMap {
			t.Fatalf("instead of %s came %+v", wanted, event)
		}
	}
}

func TestSubresourcesOfTypedClients(t *testing.T) {
	set := kubernetes.NewForConfigOrDie(shared)
	ns := namespace(t, set)
	deployments := set.AppsV1().Deployments(ns)
	_, err := deployments.Create(t.Context(), deployment("web"), metav1.CreateOptions{})
	must(t, err)
	scale, err := deployments.GetScale(t.Context(), "web", metav1.GetOptions{})
	must(t, err)
	scale.Spec = autoscalingv1.ScaleSpec{Replicas: 5}
	_, err = deployments.UpdateScale(t.Context(), "web", scale, metav1.UpdateOptions{})
	must(t, err)
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		found, err := deployments.Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if *found.Spec.Replicas != 5 || found.Generation != 2 {
			t.Errorf("after scaling there are %d replicas in generation %d", *found.Spec.Replicas, found.Generation)
		}
		found.Status.ObservedGeneration = found.Generation
		_, err = deployments.UpdateStatus(t.Context(), found, metav1.UpdateOptions{})
		return err
	})
	must(t, err)

	request := &authenticationv1.TokenRequest{}
	eventually(t, "the namespace's default service account", func() bool {
		request, err = set.CoreV1().ServiceAccounts(ns).CreateToken(t.Context(), "default", request, metav1.CreateOptions{})
		return err == nil
	})
	somebody := rest.AnonymousClientConfig(shared)
	somebody.BearerToken = request.Status.Token
	review, err := kubernetes.NewForConfigOrDie(somebody).AuthenticationV1().SelfSubjectReviews().
		Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	must(t, err)
	if review.Status.UserInfo.Username != "system:serviceaccount:"+ns+":default" {
		t.Errorf("the token is that of %v", review.Status.UserInfo)
	}
}

func TestDynamicAndMetadataClientsSeeWhatTypedOnesWrite(t *testing.T) {
	set := kubernetes.NewForConfigOrDie(shared)
	ns := namespace(t, set)
	maps := dynamic.NewForConfigOrDie(shared).Resource(configMaps).Namespace(ns)
	made := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "dynamic"}, "data": map[string]any{"a": "1"},
	}}
	_, err := maps.Create(t.Context(), made, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	must(t, err)
	read, err := set.CoreV1().ConfigMaps(ns).Get(t.Context(), "dynamic", metav1.GetOptions{})
	must(t, err)
	if read.Data["a"] != "1" {
		t.Errorf("what was read is %v", read)
	}
	known, err := metadata.NewForConfigOrDie(shared).Resource(configMaps).Namespace(ns).Get(t.Context(), "dynamic", metav1.GetOptions{})
	must(t, err)
	if known.UID != read.UID || len(known.ManagedFields) != 1 {
		t.Errorf("its metadata is %v", known)
	}
	made.Object["surprise"] = true
	made.SetName("strict")
	_, err = maps.Create(t.Context(), made, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if !apierrors.IsBadRequest(err) {
		t.Errorf("a field nobody knows got %v", err)
	}
	must(t, maps.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=dynamic"}))
	if _, err := maps.Get(t.Context(), "dynamic", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what was deleted got %v", err)
	}
}

func TestPagesAddUpToTheWholeList(t *testing.T) {
	set := kubernetes.NewForConfigOrDie(shared)
	ns := namespace(t, set)
	maps := set.CoreV1().ConfigMaps(ns)
	for _, name := range strings.Split("a b c d e f g", " ") {
		_, err := maps.Create(t.Context(), configMap(name, nil), metav1.CreateOptions{})
		must(t, err)
	}
	pages := pager.New(pager.SimplePageFunc(func(options metav1.ListOptions) (runtime.Object, error) {
		return maps.List(t.Context(), options)
	}))
	pages.PageSize = 2
	var names []string
	err := pages.EachListItem(t.Context(), metav1.ListOptions{LabelSelector: "app"}, func(item runtime.Object) error {
		names = append(names, item.(*corev1.ConfigMap).Name)
		return nil
	})
	must(t, err)
	if strings.Join(names, " ") != "a b c d e f g" {
		t.Errorf("the pages hold %v", names)
	}
}
