// Package three installs a chart with Helm 3's own library, in logical clusters of a server. ATOLL names its binary.
package three

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"atoll.dev/e2e/helm/tenant"
)

func TestMain(m *testing.M) {
	os.Exit(tenant.Run(m))
}

// three is Helm 3's configuration for a tenant, with releases kept as Helm keeps them by itself or in config maps.
func three(t *testing.T, k *tenant.Tenant, kept string) *action.Configuration {
	t.Helper()
	made := &action.Configuration{}
	tenant.Must(t, made.Init(k.Flags, k.Namespace, kept, t.Logf))
	return made
}

func shop(t *testing.T) *chart.Chart {
	t.Helper()
	found, err := loader.Load("../testdata/shop")
	tenant.Must(t, err)
	return found
}

func install(t *testing.T, k *tenant.Tenant, with *action.Configuration, values map[string]any) (*release.Release, error) {
	t.Helper()
	install := action.NewInstall(with)
	install.ReleaseName, install.Namespace, install.CreateNamespace = "web", k.Namespace, true
	install.Wait, install.WaitForJobs, install.Timeout = true, true, tenant.Patience
	return install.Run(shop(t), values)
}

func upgrade(t *testing.T, k *tenant.Tenant, with *action.Configuration, values map[string]any) (*release.Release, error) {
	t.Helper()
	upgrade := action.NewUpgrade(with)
	upgrade.Namespace, upgrade.Atomic, upgrade.Wait, upgrade.Timeout = k.Namespace, true, true, tenant.Patience
	return upgrade.Run("web", shop(t), values)
}

func password(t *testing.T, k *tenant.Tenant) string {
	t.Helper()
	found, err := k.Set.CoreV1().Secrets(k.Namespace).Get(t.Context(), "web-password", metav1.GetOptions{})
	tenant.Must(t, err)
	return string(found.Data["password"])
}

func TestAReleaseLivesItsLifeInTwoTenantsAtOnce(t *testing.T) {
	t.Parallel()
	colors := map[string]string{"helm-one": "red", "helm-two": "green"}
	var passwords sync.Map
	t.Run("tenants", func(t *testing.T) {
		for name, color := range colors {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				k := tenant.New(t, name)
				with := three(t, k, "")
				comesToBe(t, k, with)
				passwords.Store(password(t, k), name)
				changes(t, k, with, color)
				goes(t, k, with)
			})
		}
	})
	kept := 0
	passwords.Range(func(any, any) bool { kept++; return true })
	tenant.Same(t, "the number of passwords", kept, len(colors))
}

// comesToBe installs the chart, CRDs and hooks and all, and runs its test.
func comesToBe(t *testing.T, k *tenant.Tenant, with *action.Configuration) {
	t.Helper()
	installed, err := install(t, k, with, map[string]any{"tenant": k.Name})
	tenant.Must(t, err)
	tenant.Same(t, "the release", installed.Info.Status, release.StatusDeployed)
	tenant.Same(t, "its notes", strings.TrimSpace(installed.Info.Notes), "web of "+k.Name+" is there.")
	told := k.Told(t)
	for key, wanted := range map[string]string{
		"tenant": k.Name, "color": "blue", "extra": "yes", "shelves": "true", "deployments": "true", "ghosts": "false",
		"looked": "Active", "definitions": "1", "revision": "1",
	} {
		tenant.Same(t, key, told[key], wanted)
	}
	if !strings.HasPrefix(told["kubernetes"], "v1.") {
		t.Errorf("the chart was told of Kubernetes %q", told["kubernetes"])
	}
	tenant.Same(t, "the default of a shelf's boards", k.Shelf(t)["boards"], any(int64(3)))
	_, err = k.Set.BatchV1().Jobs(k.Namespace).Get(t.Context(), "web-migrate", metav1.GetOptions{})
	tenant.IsGone(t, "the hook that went well", err)
	role, err := k.Set.RbacV1().ClusterRoles().Get(t.Context(), "web-"+k.Namespace, metav1.GetOptions{})
	tenant.Must(t, err)
	tenant.Same(t, "the tenant of the cluster role", role.Labels["tenant"], k.Name)
	tested := action.NewReleaseTesting(with)
	tested.Namespace, tested.Timeout = k.Namespace, tenant.Patience
	_, err = tested.Run("web")
	tenant.Must(t, err)
	if _, err := install(t, k, with, map[string]any{"tenant": k.Name}); err == nil {
		t.Error("a second release of one name was installed")
	}
}

// changes upgrades the release, while others have changed its objects too, and rolls it back.
func changes(t *testing.T, k *tenant.Tenant, with *action.Configuration, color string) {
	t.Helper()
	deployments := k.Set.AppsV1().Deployments(k.Namespace)
	_, err := deployments.Patch(t.Context(), "web", types.StrategicMergePatchType, []byte(`{"metadata": {"labels": {"mine": "yes"}},
		"spec": {"template": {"spec": {"containers": [{"name": "web", "env": [{"name": "MINE", "value": "1"}]}]}}}}`),
		metav1.PatchOptions{})
	tenant.Must(t, err)
	_, err = deployments.Patch(t.Context(), "web", types.MergePatchType, []byte(`{"spec": {"replicas": 4}}`), metav1.PatchOptions{})
	tenant.Must(t, err)
	before := password(t, k)
	values := map[string]any{"tenant": k.Name, "color": color, "image": "shop:2", "extra": false}
	upgraded, err := upgrade(t, k, with, values)
	tenant.Must(t, err)
	tenant.Same(t, "the revision", upgraded.Version, 2)
	tenant.Same(t, "the color", k.Told(t)["color"], color)
	if _, is := k.Told(t)["extra"]; is {
		t.Error("what the chart has no more is still in its config map")
	}
	_, err = k.Set.NetworkingV1().NetworkPolicies(k.Namespace).Get(t.Context(), "web-extra", metav1.GetOptions{})
	tenant.IsGone(t, "what the chart has no more", err)
	tenant.Same(t, "the password", password(t, k), before)
	tenant.Same(t, "the shelf's color", k.Shelf(t)["color"], any(color))
	found := k.Deployed(t)
	tenant.Same(t, "the image", found.Spec.Template.Spec.Containers[0].Image, "shop:2")
	tenant.Same(t, "the chart's variable", k.Environment(t)["COLOR"], color)
	tenant.Same(t, "somebody else's variable", k.Environment(t)["MINE"], "1")
	tenant.Same(t, "somebody else's label", found.Labels["mine"], "yes")
	tenant.Same(t, "the replicas that the chart asks for", *found.Spec.Replicas, 2)

	values["migrate"], values["image"] = "fails", "shop:3"
	if _, err := upgrade(t, k, with, values); err == nil {
		t.Error("an upgrade whose hook failed went well")
	}
	last, err := action.NewGet(with).Run("web")
	tenant.Must(t, err)
	tenant.Same(t, "the release after the failure", fmt.Sprintf("%d %s", last.Version, last.Info.Status), "4 deployed")
	tenant.Same(t, "the image after the failure", k.Deployed(t).Spec.Template.Spec.Containers[0].Image, "shop:2")

	back := action.NewRollback(with)
	back.Version, back.Wait, back.Timeout = 1, true, tenant.Patience
	tenant.Must(t, back.Run("web"))
	tenant.Same(t, "the color of before", k.Told(t)["color"], "blue")
	_, err = k.Set.NetworkingV1().NetworkPolicies(k.Namespace).Get(t.Context(), "web-extra", metav1.GetOptions{})
	tenant.Must(t, err)
	history, err := action.NewHistory(with).Run("web")
	tenant.Must(t, err)
	tenant.Same(t, "the number of revisions", len(history), 5)
}

// goes uninstalls the release; what Helm does not delete stays.
func goes(t *testing.T, k *tenant.Tenant, with *action.Configuration) {
	t.Helper()
	away := action.NewUninstall(with)
	away.Wait, away.Timeout, away.DeletionPropagation = true, tenant.Patience, "foreground"
	_, err := away.Run("web")
	tenant.Must(t, err)
	_, err = k.Set.AppsV1().Deployments(k.Namespace).Get(t.Context(), "web", metav1.GetOptions{})
	tenant.IsGone(t, "the deployment", err)
	left, err := k.Set.CoreV1().ConfigMaps(k.Namespace).Get(t.Context(), "web-left", metav1.GetOptions{})
	tenant.Must(t, err)
	tenant.Same(t, "the tenant of what is left", left.Data["tenant"], k.Name)
	definitions := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	_, err = k.Any.Resource(definitions).Get(t.Context(), "shelves.shop.example.com", metav1.GetOptions{})
	tenant.Must(t, err)
	secrets, err := k.Set.CoreV1().Secrets(k.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "owner=helm"})
	tenant.Must(t, err)
	tenant.Same(t, "the number of releases kept", len(secrets.Items), 0)
}

func TestWhatCannotBeInstalledLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	k := tenant.New(t, "helm-refused")
	with := three(t, k, "configmap")
	for _, refused := range []struct {
		what, told string
		values     map[string]any
	}{
		{"values against the chart's schema", "minimum", map[string]any{"tenant": k.Name, "replicas": -1}},
		{"an object that the server refuses", "spec.color: Unsupported value", map[string]any{"tenant": k.Name, "color": "mud"}},
		{"a hook that fails", "BackoffLimitExceeded", map[string]any{"tenant": k.Name, "migrate": "fails"}},
	} {
		install := action.NewInstall(with)
		install.ReleaseName, install.Namespace, install.CreateNamespace = "web", k.Namespace, true
		install.Atomic, install.Wait, install.Timeout = true, true, tenant.Patience
		_, err := install.Run(shop(t), refused.values)
		if err == nil || !strings.Contains(err.Error(), refused.told) {
			t.Errorf("%s got %v", refused.what, err)
		}
		_, err = k.Set.AppsV1().Deployments(k.Namespace).Get(t.Context(), "web", metav1.GetOptions{})
		tenant.IsGone(t, "what came with "+refused.what, err)
	}
	away := action.NewUninstall(with)
	away.IgnoreNotFound, away.Wait, away.Timeout = true, true, tenant.Patience
	_, err := away.Run("web")
	tenant.Must(t, err)
	tried := action.NewInstall(with)
	tried.ReleaseName, tried.Namespace, tried.DryRunOption = "web", k.Namespace, "server"
	rendered, err := tried.Run(shop(t), map[string]any{"tenant": k.Name})
	tenant.Must(t, err)
	if !strings.Contains(rendered.Manifest, "looked: Active") {
		t.Errorf("a dry run did not ask the server: %s", rendered.Manifest)
	}
	_, err = k.Set.CoreV1().ConfigMaps(k.Namespace).Get(t.Context(), "web-told", metav1.GetOptions{})
	tenant.IsGone(t, "a dry run's object", err)

	_, err = k.Set.CoreV1().ServiceAccounts(k.Namespace).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, metav1.CreateOptions{})
	tenant.Must(t, err)
	_, err = install(t, k, with, map[string]any{"tenant": k.Name})
	if err == nil || !strings.Contains(err.Error(), "cannot be imported into the current release") {
		t.Errorf("the release took what was somebody else's: %v", err)
	}
	install := action.NewInstall(with)
	install.ReleaseName, install.Namespace, install.TakeOwnership = "web", k.Namespace, true
	_, err = install.Run(shop(t), map[string]any{"tenant": k.Name})
	tenant.Must(t, err)
	kept, err := k.Set.CoreV1().ConfigMaps(k.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "owner=helm,status=deployed"})
	tenant.Must(t, err)
	tenant.Same(t, "the number of releases kept in config maps", len(kept.Items), 1)
}
