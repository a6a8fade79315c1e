package envtest

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// How long an environment takes from Start to its first answer, without definitions or webhooks, and to stop again.
// KUBEBUILDER_ASSETS says which binaries: those that `atoll envtest` wrote, or kube-apiserver and etcd themselves.
//
//	go test -run NONE -bench Start -benchtime 5x .
func BenchmarkStart(b *testing.B) {
	var stopping time.Duration
	for b.Loop() {
		fresh := &envtest.Environment{}
		if _, err := fresh.Start(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		began := time.Now()
		if err := fresh.Stop(); err != nil {
			b.Fatal(err)
		}
		stopping += time.Since(began)
		b.StartTimer()
	}
	b.ReportMetric(float64(stopping.Milliseconds())/float64(b.N), "ms-to-stop/op")
}
