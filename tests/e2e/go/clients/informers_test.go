// What follows a resource: shared informers, which stream their first list; leader election; watches with bookmarks.
package clients

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// streamed fails the test unless the recorded informer got its first list of config maps as a watch.
func streamed(t *testing.T, seen *recorder) {
	t.Helper()
	of := func(initial bool) []exchange {
		return seen.those(func(e exchange) bool {
			isList := e.method == "GET" && strings.HasSuffix(e.path, "/configmaps") && !strings.Contains(e.query, "watch=")
			isStream := strings.Contains(e.query, "sendInitialEvents=true") && e.status == 200
			return (initial && isStream) || (!initial && isList)
		})
	}
	if len(of(true)) == 0 || len(of(false)) > 0 {
		t.Errorf("the first list was not streamed: %+v", seen.entries)
	}
}

func TestSharedInformersStreamTheirFirstListAndFollow(t *testing.T) {
	plain := kubernetes.NewForConfigOrDie(shared)
	for name, contentType := range map[string]string{"as they come": "", "protobuf": protobuf} {
		t.Run(name, func(t *testing.T) {
			ns := namespace(t, plain)
			for i := range 5 {
				_, err := plain.CoreV1().ConfigMaps(ns).Create(t.Context(), configMap(fmt.Sprintf("early-%d", i), nil), metav1.CreateOptions{})
				must(t, err)
			}
			config, seen := recorded()
			config.ContentType = contentType
			factory := informers.NewSharedInformerFactoryWithOptions(
				kubernetes.NewForConfigOrDie(config), 0, informers.WithNamespace(ns),
			)
			maps := factory.Core().V1().ConfigMaps()
			var added, changed, deleted atomic.Int32
			_, err := maps.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
				AddFunc:    func(any) { added.Add(1) },
				UpdateFunc: func(any, any) { changed.Add(1) },
				DeleteFunc: func(any) { deleted.Add(1) },
			})
			must(t, err)
			ctx, stop := context.WithCancel(t.Context())
			defer factory.Shutdown()
			defer stop()
			factory.StartWithContext(ctx)
			if !cache.WaitForCacheSync(ctx.Done(), maps.Informer().HasSynced) {
				t.Fatal("the cache does not fill")
			}
			streamed(t, seen)
			held, err := maps.Lister().ConfigMaps(ns).List(labels.SelectorFromSet(labels.Set{"app": "web"}))
			must(t, err)
			if len(held) != 5 {
				t.Errorf("at first there are %d", len(held))
			}
			follow(t, plain, ns, &added, &changed, &deleted)
		})
	}
}

// follow changes things and waits for an informer that counted what was there to tell of each.
func follow(t *testing.T, set kubernetes.Interface, ns string, added, changed, deleted *atomic.Int32) {
	t.Helper()
	before := added.Load()
	maps := set.CoreV1().ConfigMaps(ns)
	made, err := maps.Create(t.Context(), configMap("late", nil), metav1.CreateOptions{})
	must(t, err)
	made.Data = map[string]string{"a": "1"}
	_, err = maps.Update(t.Context(), made, metav1.UpdateOptions{})
	must(t, err)
	must(t, maps.Delete(t.Context(), "late", metav1.DeleteOptions{}))
	eventually(t, "one more, one change, one fewer", func() bool {
		return added.Load() > before && changed.Load() > 0 && deleted.Load() > 0
	})
}

func TestDynamicAndMetadataInformersStreamTheirFirstList(t *testing.T) {
	set := kubernetes.NewForConfigOrDie(shared)
	ns := namespace(t, set)
	_, err := set.CoreV1().ConfigMaps(ns).Create(t.Context(), configMap("early", nil), metav1.CreateOptions{})
	must(t, err)
	kinds := map[string]func(*rest.Config) cache.SharedIndexInformer{
		"dynamic": func(c *rest.Config) cache.SharedIndexInformer {
			factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(dynamic.NewForConfigOrDie(c), 0, ns, nil)
			return factory.ForResource(configMaps).Informer()
		},
		"metadata": func(c *rest.Config) cache.SharedIndexInformer {
			factory := metadatainformer.NewFilteredSharedInformerFactory(metadata.NewForConfigOrDie(c), 0, ns, nil)
			return factory.ForResource(configMaps).Informer()
		},
	}
	for name, build := range kinds {
		t.Run(name, func(t *testing.T) {
			config, seen := recorded()
			informer := build(config)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go informer.RunWithContext(ctx)
			if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
				t.Fatal("the cache does not fill")
			}
			streamed(t, seen)
			if _, found, _ := informer.GetStore().GetByKey(ns + "/early"); !found {
				t.Errorf("it holds %v", informer.GetStore().ListKeys())
			}
		})
	}
}

func TestOneOfTwoLeadsAndTheOtherFollowsWhenItLetsGo(t *testing.T) {
	set := kubernetes.NewForConfigOrDie(shared)
	ns := namespace(t, set)
	leading := make(chan string, 2)
	campaign := func(name string) context.CancelFunc {
		ctx, stop := context.WithCancel(t.Context())
		lock, err := resourcelock.New(resourcelock.LeasesResourceLock, ns, "boss", set.CoreV1(), set.CoordinationV1(),
			resourcelock.ResourceLockConfig{Identity: name})
		must(t, err)
		go leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock: lock, ReleaseOnCancel: true,
			LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 200 * time.Millisecond,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { leading <- name },
				OnStoppedLeading: func() {},
			},
		})
		return stop
	}
	letGo := campaign("first")
	if leader := <-leading; leader != "first" {
		t.Fatalf("%s leads", leader)
	}
	defer campaign("second")()
	select {
	case leader := <-leading:
		t.Fatalf("%s leads too", leader)
	case <-time.After(time.Second):
	}
	letGo()
	select {
	case leader := <-leading:
		if leader != "second" {
			t.Fatalf("%s leads", leader)
		}
	case <-time.After(patience):
		t.Fatal("nobody leads")
	}
	lease, err := set.CoordinationV1().Leases(ns).Get(t.Context(), "boss", metav1.GetOptions{})
	must(t, err)
	if *lease.Spec.HolderIdentity != "second" {
		t.Errorf("the lease is held by %s", *lease.Spec.HolderIdentity)
	}
}

func TestEventsAreWrittenAndFoundByWhatTheyAreAbout(t *testing.T) {
	set := kubernetes.NewForConfigOrDie(shared)
	ns := namespace(t, set)
	made, err := set.CoreV1().ConfigMaps(ns).Create(t.Context(), configMap("one", nil), metav1.CreateOptions{})
	must(t, err)
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: "one-", Namespace: ns},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: ns, Name: "one", UID: made.UID},
		Reason:         "Tested", Message: "it was tested", Type: corev1.EventTypeNormal,
		FirstTimestamp: metav1.Now(), LastTimestamp: metav1.Now(), Count: 1,
	}
	_, err = set.CoreV1().Events(ns).CreateWithEventNamespaceWithContext(t.Context(), event)
	must(t, err)
	selector := set.CoreV1().Events(ns).GetFieldSelector(&made.Name, &ns, nil, nil)
	found, err := set.CoreV1().Events(ns).List(t.Context(), metav1.ListOptions{FieldSelector: selector.String()})
	must(t, err)
	newer, err := set.EventsV1().Events(ns).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=Tested"})
	must(t, err)
	if len(found.Items) != 1 || len(newer.Items) != 1 || newer.Items[0].Note != "it was tested" {
		t.Errorf("there are %v and %v", found.Items, newer.Items)
	}
}
