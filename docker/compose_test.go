// Package docker_test checks the container files without a container engine:
// compose.yaml is loaded by the library that docker compose is made of, and its
// commands run on real processes where those can be had.
package docker_test

import (
	"bufio"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// load returns compose.yaml, checked against the schema and for consistency
// (dependencies and volumes that are not there, circles).
func load(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"compose.yaml"}, cli.WithWorkingDirectory("."), cli.WithConsistency(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// oneShot are the services that end: others wait for their success.
var oneShot = []string{"topics"}

func TestServices(t *testing.T) {
	project := load(t)
	if got, want := project.ServiceNames(), []string{"bridge", "grafana", "producer", "prometheus", "redpanda", "s2", "topics"}; !slices.Equal(got, want) {
		t.Errorf("services: %v, want %v", got, want)
	}
	for name, s := range project.Services {
		if !isPinned(s.Image) && s.Build == nil {
			t.Errorf("%s: image %q is not pinned to a version", name, s.Image)
		}
		if len(s.Ports) > 0 && (s.HealthCheck == nil || len(s.HealthCheck.Test) < 2) {
			t.Errorf("%s serves something and has no health check", name)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to the network", name, p.Published)
			}
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if info, err := os.Stat(v.Source); err != nil || info.IsDir() {
					t.Errorf("%s: %s is mounted and is no file here: %v", name, v.Source, err)
				}
				if !v.ReadOnly {
					t.Errorf("%s: %s is mounted writable", name, v.Source)
				}
			}
		}
		for on, d := range s.DependsOn {
			if slices.Contains(oneShot, on) != (d.Condition == types.ServiceConditionCompletedSuccessfully) {
				t.Errorf("%s waits for %s by %s", name, on, d.Condition)
			}
			if d.Condition == types.ServiceConditionHealthy && project.Services[on].HealthCheck == nil {
				t.Errorf("%s waits for the health of %s, which has no check", name, on)
			}
		}
	}
}

// The order in which things must come up, by what waits for what.
func TestStartOrder(t *testing.T) {
	project := load(t)
	for _, c := range [][3]string{
		{"topics", "redpanda", types.ServiceConditionHealthy},
		{"producer", "topics", types.ServiceConditionCompletedSuccessfully},
		{"bridge", "topics", types.ServiceConditionCompletedSuccessfully},
		{"bridge", "s2", types.ServiceConditionHealthy},
		{"prometheus", "bridge", types.ServiceConditionStarted},
		{"grafana", "prometheus", types.ServiceConditionHealthy},
	} {
		if got := project.Services[c[0]].DependsOn[c[1]].Condition; got != c[2] {
			t.Errorf("%s must wait for %s by %s; it has %q", c[0], c[1], c[2], got)
		}
	}
	// Docker kills after this; the drain must have ended by then.
	if grace := project.Services["bridge"].StopGracePeriod; grace == nil || time.Duration(*grace) < 10*time.Second {
		t.Errorf("bridge: stop_grace_period %v", grace)
	}
}

var version = regexp.MustCompile(`:v?[0-9]+\.[0-9]+\.[0-9]+(-[a-z0-9.]+)?$`)

func isPinned(image string) bool { return version.MatchString(image) }

func TestDockerfile(t *testing.T) {
	file, err := os.Open("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	stages := map[string]bool{"scratch": true}
	user := ""
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "FROM":
			if !stages[words[1]] && !isPinned(words[1]) {
				t.Errorf("FROM %s is not pinned to a version", words[1])
			}
			user = ""
			if len(words) == 4 {
				stages[words[3]] = true
			}
		case "USER":
			user = words[1]
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if user == "" || strings.HasPrefix(user, "0") || strings.HasPrefix(user, "root") {
		t.Errorf("the image runs as %q", user)
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	minor := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(mod))
	if minor == nil || !stages["build"] {
		t.Fatal("go.mod without a Go version, or Dockerfile without a stage named build")
	}
	content, err := os.ReadFile("Dockerfile")
	if err != nil || !strings.Contains(string(content), "FROM golang:"+minor[1]+".") {
		t.Errorf("the Dockerfile builds with another Go than %s of go.mod: %v", minor[1], err)
	}
}
