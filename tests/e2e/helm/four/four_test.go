// Package four installs a chart with Helm 4's own library, which has the server apply it and watches what it waits for.
// It is as much to build as Helm 3 again, so .ci/run tries it if HELM4 is set. ATOLL names the server's binary.
package four

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/loader"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"atoll.dev/e2e/helm/tenant"
)

func TestMain(m *testing.M) {
	os.Exit(tenant.Run(m))
}

func four(t *testing.T, k *tenant.Tenant) *action.Configuration {
	t.Helper()
	made := action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler))
	tenant.Must(t, made.Init(k.Flags, k.Namespace, ""))
	return made
}

func shop(t *testing.T) chart.Charter {
	t.Helper()
	found, err := loader.Load("../testdata/shop")
	tenant.Must(t, err)
	return found
}

func upgrade(t *testing.T, k *tenant.Tenant, with *action.Configuration, values map[string]any, how func(*action.Upgrade)) error {
	t.Helper()
	upgrade := action.NewUpgrade(with)
	upgrade.Namespace, upgrade.WaitStrategy, upgrade.Timeout = k.Namespace, kube.StatusWatcherStrategy, tenant.Patience
	how(upgrade)
	_, err := upgrade.Run("web", shop(t), values)
	return err
}

func TestAReleaseIsAppliedByTheServer(t *testing.T) {
	for _, name := range []string{"helm-three", "helm-four"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := tenant.New(t, name)
			with := four(t, k)
			values := map[string]any{"tenant": name}
			install := action.NewInstall(with)
			install.ReleaseName, install.Namespace, install.CreateNamespace = "web", k.Namespace, true
			install.WaitStrategy, install.WaitForJobs, install.Timeout = kube.StatusWatcherStrategy, true, tenant.Patience
			made, err := install.Run(shop(t), values)
			tenant.Must(t, err)
			seen, err := release.NewAccessor(made)
			tenant.Must(t, err)
			tenant.Same(t, "the release", fmt.Sprintf("%d %s %s", seen.Version(), seen.Status(), seen.ApplyMethod()), "1 deployed ssa")
			tenant.Same(t, "the tenant", k.Told(t)["tenant"], name)
			tenant.Same(t, "shelves", k.Told(t)["shelves"], "true")
			tenant.Same(t, "who applied", k.Deployed(t).ManagedFields[0].Operation, metav1.ManagedFieldsOperationApply)

			// Others add to what is Helm's, and take a field from it.
			deployments := k.Set.AppsV1().Deployments(k.Namespace)
			change := `{"metadata": {"labels": {"mine": "yes"}}, "spec": {"replicas": 4, "template": {"spec": {"containers": [
				{"name": "web", "env": [{"name": "MINE", "value": "1"}]}]}}}}`
			_, err = deployments.Patch(t.Context(), "web", types.StrategicMergePatchType, []byte(change),
				metav1.PatchOptions{FieldManager: "somebody"})
			tenant.Must(t, err)
			values["image"], values["extra"] = "shop:2", false
			err = upgrade(t, k, with, values, func(*action.Upgrade) {})
			if err == nil || !strings.Contains(err.Error(), `conflict with "somebody"`) || !strings.Contains(err.Error(), ".spec.replicas") {
				t.Errorf("an upgrade that takes a field from somebody got %v", err)
			}
			tenant.Must(t, upgrade(t, k, with, values, func(u *action.Upgrade) { u.ForceConflicts = true }))
			found := k.Deployed(t)
			tenant.Same(t, "the image", found.Spec.Template.Spec.Containers[0].Image, "shop:2")
			tenant.Same(t, "the replicas", *found.Spec.Replicas, 2)
			tenant.Same(t, "somebody else's label", found.Labels["mine"], "yes")
			tenant.Same(t, "somebody else's variable", k.Environment(t)["MINE"], "1")
			if _, is := k.Told(t)["extra"]; is {
				t.Error("what the chart has no more is still in its config map")
			}
			_, err = k.Set.NetworkingV1().NetworkPolicies(k.Namespace).Get(t.Context(), "web-extra", metav1.GetOptions{})
			tenant.IsGone(t, "what the chart has no more", err)

			values["migrate"] = "fails"
			err = upgrade(t, k, with, values, func(u *action.Upgrade) { u.RollbackOnFailure, u.ForceConflicts = true, true })
			if err == nil {
				t.Error("an upgrade whose hook failed went well")
			}
			back := action.NewRollback(with)
			back.Version, back.WaitStrategy, back.Timeout, back.ForceConflicts = 1, kube.StatusWatcherStrategy, tenant.Patience, true
			tenant.Must(t, back.Run("web"))
			tenant.Same(t, "what is back", k.Told(t)["extra"], "yes")

			away := action.NewUninstall(with)
			away.WaitStrategy, away.Timeout = kube.StatusWatcherStrategy, tenant.Patience
			_, err = away.Run("web")
			tenant.Must(t, err)
			_, err = deployments.Get(t.Context(), "web", metav1.GetOptions{})
			tenant.IsGone(t, "the deployment", err)
		})
	}
}
