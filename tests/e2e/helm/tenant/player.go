// What kubelets and Kubernetes' controllers would do to a chart's workloads.
package tenant

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// play tells of workloads what they would tell if they ran, until it is stopped. What somebody else has just changed is
// done at the next look.
func (k *Tenant) play(stop context.Context) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for stop.Err() == nil {
			k.bindClaims(stop)
			k.rollOut(stop)
			k.finishJobs(stop)
			k.runPods(stop)
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return ended
}

// bindClaims has claims bound. Those that are deleted and not in use the server lets go.
func (k *Tenant) bindClaims(stop context.Context) {
	claims, err := k.Set.CoreV1().PersistentVolumeClaims(k.Namespace).List(stop, metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, claim := range claims.Items {
		if claim.DeletionTimestamp == nil && claim.Status.Phase != corev1.ClaimBound {
			claim.Status.Phase = corev1.ClaimBound
			_, _ = k.Set.CoreV1().PersistentVolumeClaims(k.Namespace).UpdateStatus(stop, &claim, metav1.UpdateOptions{})
		}
	}
}

// rollOut makes each deployment's replica set, with all its pods ready.
func (k *Tenant) rollOut(stop context.Context) {
	deployments, err := k.Set.AppsV1().Deployments(k.Namespace).List(stop, metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, deployment := range deployments.Items {
		if deployment.Status.ObservedGeneration == deployment.Generation {
			continue
		}
		replicas := *deployment.Spec.Replicas
		controls := true
		wanted := &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{
				Name:   fmt.Sprintf("%s-%d", deployment.Name, deployment.Generation),
				Labels: deployment.Spec.Template.Labels,
				OwnerReferences: []metav1.OwnerReference{{
					APIVersion: "apps/v1", Kind: "Deployment", Name: deployment.Name, UID: deployment.UID, Controller: &controls,
				}},
			},
			Spec: appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: deployment.Spec.Selector, Template: deployment.Spec.Template},
		}
		sets := k.Set.AppsV1().ReplicaSets(k.Namespace)
		made, err := sets.Create(stop, wanted, metav1.CreateOptions{})
		if err != nil {
			continue
		}
		made.Status = appsv1.ReplicaSetStatus{
			Replicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas, ObservedGeneration: made.Generation,
		}
		if _, err := sets.UpdateStatus(stop, made, metav1.UpdateOptions{}); err != nil {
			continue
		}
		deployment.Status = appsv1.DeploymentStatus{
			ObservedGeneration: deployment.Generation, Replicas: replicas, UpdatedReplicas: replicas,
			ReadyReplicas: replicas, AvailableReplicas: replicas,
			Conditions: []appsv1.DeploymentCondition{
				{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable"},
				{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable"},
			},
		}
		_, _ = k.Set.AppsV1().Deployments(k.Namespace).UpdateStatus(stop, &deployment, metav1.UpdateOptions{})
	}
}

// finishJobs completes jobs, or fails those that say that they do not work.
func (k *Tenant) finishJobs(stop context.Context) {
	jobs, err := k.Set.BatchV1().Jobs(k.Namespace).List(stop, metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, job := range jobs.Items {
		if job.Status.CompletionTime != nil || job.Status.Failed > 0 {
			continue
		}
		now := metav1.Now()
		told := func(kind batchv1.JobConditionType, reason string) batchv1.JobCondition {
			return batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, Reason: reason, LastTransitionTime: now}
		}
		job.Status.StartTime = &now
		job.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
		if job.Annotations["migrate"] == "fails" {
			job.Status.Failed = 1
			job.Status.Conditions = []batchv1.JobCondition{
				told(batchv1.JobFailureTarget, "BackoffLimitExceeded"), told(batchv1.JobFailed, "BackoffLimitExceeded"),
			}
		} else {
			job.Status.Succeeded, job.Status.CompletionTime = 1, &now
			job.Status.Conditions = []batchv1.JobCondition{
				told(batchv1.JobSuccessCriteriaMet, "CompletionsReached"), told(batchv1.JobComplete, "CompletionsReached"),
			}
		}
		_, _ = k.Set.BatchV1().Jobs(k.Namespace).UpdateStatus(stop, &job, metav1.UpdateOptions{})
	}
}

// runPods has pods end well at once, and takes away those that are deleted.
func (k *Tenant) runPods(stop context.Context) {
	pods, err := k.Set.CoreV1().Pods(k.Namespace).List(stop, metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, pod := range pods.Items {
		if pod.Status.Phase != corev1.PodSucceeded {
			pod.Status.Phase = corev1.PodSucceeded
			_, _ = k.Set.CoreV1().Pods(k.Namespace).UpdateStatus(stop, &pod, metav1.UpdateOptions{})
		}
	}
}
