// Package clients runs Kubernetes' own client libraries, with the settings they come with, in a logical cluster.
// ATOLL names the server's binary; each run starts one of its own.
package clients

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// How long anything may take to come about on a busy machine.
const patience = 60 * time.Second

// How all tests reach the logical cluster they share.
var shared *rest.Config

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	atoll := os.Getenv("ATOLL")
	if atoll == "" {
		fmt.Println("SKIPPED: ATOLL names no binary of the server")
		return 0
	}
	log.SetLogger(logr.Discard())
	home, err := os.MkdirTemp("", "atoll-clients-")
	if err != nil {
		fmt.Println("there is no room for the server:", err)
		return 1
	}
	defer os.RemoveAll(home)
	server, err := start(atoll, home)
	if err != nil {
		fmt.Println("the server does not start:", err)
		return 1
	}
	defer func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	}()
	if shared, err = cluster(atoll, home, "clients"); err != nil {
		fmt.Println("there is no logical cluster:", err)
		return 1
	}
	return m.Run()
}

// start runs the server on a port of its own; it says a line once it is ready.
func start(atoll, home string) (*exec.Cmd, error) {
	server := exec.Command(atoll, "serve", "--data-dir", home, "--listen", "127.0.0.1:0", "--storage", "memory://")
	server.Stderr = os.Stderr
	said, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil || !strings.Contains(line, "ready") {
		_ = server.Process.Kill()
		_ = server.Wait()
		return nil, fmt.Errorf("it said %q, %v", line, err)
	}
	return server, nil
}

// cluster makes a logical cluster and reads its kubeconfig.
func cluster(atoll, home, name string) (*rest.Config, error) {
	admin := filepath.Join(home, "admin.kubeconfig")
	made := exec.Command(atoll, "cluster", "create", name, "--kubeconfig", admin)
	if said, err := made.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w", said, err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", admin)
	if err != nil {
		return nil, err
	}
	config.Host += "/clusters/" + name
	return config, nil
}

// recorder remembers what was asked and what came back, beneath a client.
type recorder struct {
	mutex   sync.Mutex
	entries []exchange
}

type exchange struct {
	method, path, query  string
	sent, accepted, came string
	status               int
}

// recorded is a configuration whose requests are remembered.
func recorded() (*rest.Config, *recorder) {
	seen := &recorder{}
	config := rest.CopyConfig(shared)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(request *http.Request) (*http.Response, error) {
			answer, err := next.RoundTrip(request)
			if err == nil {
				seen.add(request, answer)
			}
			return answer, err
		})
	})
	return config, seen
}

type tripper func(*http.Request) (*http.Response, error)

func (t tripper) RoundTrip(request *http.Request) (*http.Response, error) { return t(request) }

func (r *recorder) add(request *http.Request, answer *http.Response) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.entries = append(r.entries, exchange{
		method:   request.Method,
		path:     request.URL.Path,
		query:    request.URL.RawQuery,
		sent:     request.Header.Get("Content-Type"),
		accepted: request.Header.Get("Accept"),
		came:     answer.Header.Get("Content-Type"),
		status:   answer.StatusCode,
	})
}

// those are the exchanges that are as wanted.
func (r *recorder) those(wanted func(exchange) bool) []exchange {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var found []exchange
	for _, entry := range r.entries {
		if wanted(entry) {
			found = append(found, entry)
		}
	}
	return found
}

func eventually(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !isSo(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

// must ends the test where there is an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
