// Server-side apply with typed apply configurations, as controllers use it.
package clients

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applyappsv1 "k8s.io/client-go/applyconfigurations/apps/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func appliedDeployment(name, namespace, image string) *applyappsv1.DeploymentApplyConfiguration {
	labels := map[string]string{"app": name}
	container := applycorev1.Container().WithName("web").WithImage(image).
		WithPorts(applycorev1.ContainerPort().WithContainerPort(80).WithProtocol(corev1.ProtocolTCP))
	template := applycorev1.PodTemplateSpec().WithLabels(labels).WithSpec(applycorev1.PodSpec().WithContainers(container))
	return applyappsv1.Deployment(name, namespace).WithSpec(applyappsv1.DeploymentSpec().
		WithSelector(applymetav1.LabelSelector().WithMatchLabels(labels)).
		WithTemplate(template))
}

// conflicts are the fields that an apply did not get.
func conflicts(err error) []metav1.StatusCause {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	return status.Status().Details.Causes
}

func TestApplyOwnsWhatItSetsAndGivesUpWhatItLeavesOut(t *testing.T) {
	set := kubernetes.NewForConfigOrDie(shared)
	ns := namespace(t, set)
	deployments := set.AppsV1().Deployments(ns)
	first := metav1.ApplyOptions{FieldManager: "first"}
	made, err := deployments.Apply(t.Context(), appliedDeployment("web", ns, "web:1").WithLabels(map[string]string{"tier": "front"}), first)
	must(t, err)
	if *made.Spec.Replicas != 1 || made.Labels["tier"] != "front" {
		t.Errorf("what was applied is %v", made)
	}
	again, err := deployments.Apply(t.Context(), appliedDeployment("web", ns, "web:1").WithLabels(map[string]string{"tier": "front"}), first)
	must(t, err)
	if again.ResourceVersion != made.ResourceVersion {
		t.Error("applying the same has changed the object")
	}

	scaled := applyappsv1.Deployment("web", ns).WithSpec(applyappsv1.DeploymentSpec().WithReplicas(3))
	_, err = deployments.Apply(t.Context(), scaled, metav1.ApplyOptions{FieldManager: "scaler"})
	must(t, err)
	left, err := deployments.Apply(t.Context(), appliedDeployment("web", ns, "web:2"), first)
	must(t, err)
	if *left.Spec.Replicas != 3 || left.Labels["tier"] != "" || left.Spec.Template.Spec.Containers[0].Image != "web:2" {
		t.Errorf("after the second apply it is %v", left)
	}

	_, err = deployments.Apply(t.Context(), appliedDeployment("web", ns, "web:3"), metav1.ApplyOptions{FieldManager: "second"})
	if !apierrors.IsConflict(err) || len(conflicts(err)) != 1 {
		t.Errorf("what another manager owns got %v", err)
	}
	_, err = deployments.Apply(t.Context(), appliedDeployment("web", ns, "web:3"), metav1.ApplyOptions{FieldManager: "second", Force: true})
	must(t, err)
}

func TestWhatAManagerAppliedIsExtractedAndAppliedAgain(t *testing.T) {
	set := kubernetes.NewForConfigOrDie(shared)
	ns := namespace(t, set)
	maps := set.CoreV1().ConfigMaps(ns)
	mine := metav1.ApplyOptions{FieldManager: "mine"}
	_, err := maps.Apply(t.Context(), applycorev1.ConfigMap("one", ns).WithData(map[string]string{"a": "1"}), mine)
	must(t, err)
	other := applycorev1.ConfigMap("one", ns).WithData(map[string]string{"b": "2"})
	found, err := maps.Apply(t.Context(), other, metav1.ApplyOptions{FieldManager: "other"})
	must(t, err)
	extracted, err := applycorev1.ExtractConfigMap(found, "mine")
	must(t, err)
	if len(extracted.Data) != 1 || extracted.Data["a"] != "1" {
		t.Errorf("what is mine is %v", extracted.Data)
	}
	found, err = maps.Apply(t.Context(), extracted.WithData(map[string]string{"c": "3"}), mine)
	must(t, err)
	if len(found.Data) != 3 {
		t.Errorf("together they applied %v", found.Data)
	}
}

func TestStatusIsAppliedApartFromTheRest(t *testing.T) {
	set := kubernetes.NewForConfigOrDie(shared)
	ns := namespace(t, set)
	deployments := set.AppsV1().Deployments(ns)
	_, err := deployments.Apply(t.Context(), appliedDeployment("web", ns, "web:1"), metav1.ApplyOptions{FieldManager: "user"})
	must(t, err)
	condition := applyappsv1.DeploymentCondition().WithType("Available").WithStatus(corev1.ConditionTrue).WithReason("Tested")
	status := applyappsv1.Deployment("web", ns).WithStatus(applyappsv1.DeploymentStatus().WithConditions(condition))
	controller := metav1.ApplyOptions{FieldManager: "controller"}
	told, err := deployments.ApplyStatus(t.Context(), status, controller)
	must(t, err)
	if told.Generation != 1 || len(told.Status.Conditions) != 1 {
		t.Errorf("with its status it is %v", told)
	}
	extracted, err := applyappsv1.ExtractDeploymentStatus(told, "controller")
	must(t, err)
	if extracted.Status == nil || len(extracted.Status.Conditions) != 1 || extracted.Spec != nil {
		t.Errorf("what the controller applied is %v", extracted)
	}
}
