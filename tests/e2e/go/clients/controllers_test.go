// Kubernetes' own kube-controller-manager and kube-scheduler, at work in one logical cluster beside the server's own
// controllers: on nodes that are mere objects, pods come to be, are bound, and go.
package clients

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// runBinary starts what an environment variable names, with a kubeconfig, until the test ends; it skips without one.
func runBinary(t *testing.T, variable, kubeconfig string, arguments ...string) {
	t.Helper()
	binary := os.Getenv(variable)
	if binary == "" {
		t.Skipf("SKIPPED: %s names no binary of Kubernetes", variable)
	}
	arguments = append(arguments, "--kubeconfig", kubeconfig, "--leader-elect-retry-period=1s", "--secure-port=0")
	command := exec.Command(binary, arguments...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	command.Stdout, command.Stderr = log, log
	must(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s said:\n%s", binary, text)
		}
	})
}

// written is a kubeconfig file of a configuration.
func written(t *testing.T, config *rest.Config) string {
	t.Helper()
	made := clientcmdapi.NewConfig()
	made.Clusters["it"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	made.AuthInfos["it"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	made.Contexts["it"] = &clientcmdapi.Context{Cluster: "it", AuthInfo: "it"}
	made.CurrentContext = "it"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, clientcmd.WriteToFile(*made, file))
	return file
}

// node is a node that nobody runs.
func node(t *testing.T, set kubernetes.Interface, name string) {
	t.Helper()
	amounts := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("32Gi"),
		corev1.ResourcePods: resource.MustParse("100"),
	}
	made, err := set.CoreV1().Nodes().Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
	}, metav1.CreateOptions{})
	must(t, err)
	now := metav1.Now()
	made.Status = corev1.NodeStatus{Capacity: amounts, Allocatable: amounts, Conditions: []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: now, LastTransitionTime: now,
	}}}
	_, err = set.CoreV1().Nodes().UpdateStatus(t.Context(), made, metav1.UpdateOptions{})
	must(t, err)
	t.Cleanup(func() { _ = set.CoreV1().Nodes().Delete(context.Background(), name, metav1.DeleteOptions{}) })
}

// volumes are a set of stateful pods' worth of storage.
func volumes(t *testing.T, set kubernetes.Interface, class string, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := set.CoreV1().PersistentVolumes().Create(t.Context(), &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.PersistentVolumeSpec{
				Capacity:         corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
				AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				StorageClassName: class,
				PersistentVolumeSource: corev1.PersistentVolumeSource{
					HostPath: &corev1.HostPathVolumeSource{Path: "/tmp/" + name},
				},
			},
		}, metav1.CreateOptions{})
		must(t, err)
		t.Cleanup(func() {
			_ = set.CoreV1().PersistentVolumes().Delete(context.Background(), name, metav1.DeleteOptions{})
		})
	}
}

func stateful(name, class string) *appsv1.StatefulSet {
	of := deployment(name).Spec
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.StatefulSetSpec{
			Selector: of.Selector, Template: of.Template, ServiceName: name,
			Replicas: new(int32), PodManagementPolicy: appsv1.ParallelPodManagement,
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "data"},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					StorageClassName: &class,
					Resources: corev1.VolumeResourceRequirements{
						Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
					},
				},
			}},
		},
	}
}

func TestKubernetesOwnControllersWorkInALogicalCluster(t *testing.T) {
	set := kubernetes.NewForConfigOrDie(shared)
	kubeconfig := written(t, shared)
	// Nobody speaks for the nodes, which would count as lost before long.
	runBinary(t, "KUBE_CONTROLLER_MANAGER", kubeconfig, "--use-service-account-credentials", "--node-monitor-grace-period=24h")
	runBinary(t, "KUBE_SCHEDULER", kubeconfig)
	node(t, set, "one")
	node(t, set, "two")
	ns := namespace(t, set)
	eventually(t, "the namespace's service account", func() bool {
		_, err := set.CoreV1().ServiceAccounts(ns).Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	})

	web := deployment("web")
	web.Spec.Replicas = new(int32)
	*web.Spec.Replicas = 3
	_, err := set.AppsV1().Deployments(ns).Create(t.Context(), web, metav1.CreateOptions{})
	must(t, err)
	_, err = set.CoreV1().Services(ns).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: web.Spec.Selector.MatchLabels, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	must(t, err)
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "once"}, Spec: batchv1.JobSpec{Template: web.Spec.Template}}
	job.Spec.Template.Labels = nil
	job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	_, err = set.BatchV1().Jobs(ns).Create(t.Context(), job, metav1.CreateOptions{})
	must(t, err)
	volumes(t, set, "by-hand", "volume-one", "volume-two")
	db := stateful("db", "by-hand")
	*db.Spec.Replicas = 2
	_, err = set.AppsV1().StatefulSets(ns).Create(t.Context(), db, metav1.CreateOptions{})
	must(t, err)

	eventually(t, "six pods that are bound to nodes", func() bool {
		pods, err := set.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		bound := 0
		for _, pod := range pods.Items {
			if pod.Spec.NodeName != "" && metav1.GetControllerOf(&pod) != nil {
				bound++
			}
		}
		return err == nil && bound == 6
	})
	eventually(t, "claims that are bound to volumes", func() bool {
		claims, err := set.CoreV1().PersistentVolumeClaims(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(claims.Items) != 2 {
			return false
		}
		return claims.Items[0].Status.Phase == corev1.ClaimBound && claims.Items[1].Status.Phase == corev1.ClaimBound
	})
	eventually(t, "the status of the deployment, and the service's endpoints", func() bool {
		found, err := set.AppsV1().Deployments(ns).Get(t.Context(), "web", metav1.GetOptions{})
		slices, sliced := set.DiscoveryV1().EndpointSlices(ns).List(t.Context(), metav1.ListOptions{
			LabelSelector: discoveryv1.LabelServiceName + "=web",
		})
		return err == nil && found.Status.Replicas == 3 && sliced == nil && len(slices.Items) == 1
	})

	goesWithItsOwner(t, set, ns)
	goes(t, set, ns)
}

// goesWithItsOwner deletes a deployment in the foreground: two collectors of garbage are at it.
func goesWithItsOwner(t *testing.T, set kubernetes.Interface, ns string) {
	t.Helper()
	foreground, now := metav1.DeletePropagationForeground, int64(0)
	must(t, set.AppsV1().Deployments(ns).Delete(t.Context(), "web", metav1.DeleteOptions{PropagationPolicy: &foreground}))
	eventually(t, "the deployment to go after its pods", func() bool {
		// There is no kubelet that would end them.
		_ = set.CoreV1().Pods(ns).DeleteCollection(t.Context(),
			metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{LabelSelector: "app=web"})
		_, err := set.AppsV1().Deployments(ns).Get(t.Context(), "web", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	sets, err := set.AppsV1().ReplicaSets(ns).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	if len(sets.Items) > 0 {
		t.Errorf("these have stayed behind: %v", sets.Items)
	}
}

// goes deletes a namespace with all that is left in it.
func goes(t *testing.T, set kubernetes.Interface, ns string) {
	t.Helper()
	must(t, set.CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}))
	now := int64(0)
	began := time.Now()
	eventually(t, "the namespace to go", func() bool {
		_ = set.CoreV1().Pods(ns).DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
		_, err := set.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	t.Logf("the namespace went after %d ms", time.Since(began).Milliseconds())
}
