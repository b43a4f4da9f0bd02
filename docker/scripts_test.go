package docker_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// script runs one of the shell scripts as compose.yaml does, with a stand-in for
// Redpanda's rpk, and returns the folder that the stand-in may write into ($OUT).
func script(t *testing.T, rpk, name string, args ...string) (folder string, failed error) {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: no bash to run " + name)
	}
	bin, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "rpk"), []byte("#!"+bash+"\n"+rpk), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bash, append([]string{name}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "OUT="+out)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", name, err)
	}
	if t.Failed() || testing.Verbose() {
		t.Logf("%s: %s", name, text)
	}
	return out, err
}

// The producer writes what `rpk topic produce --format` can read; rpk reads it
// with kgo's RecordReader, and so does this test. When one rpk ends, all end, and
// the container with them.
func TestProduce(t *testing.T) {
	folder, failed := script(t, `
[ "$1 $2" = "topic produce" ] || exit 9
printf '%s\n' "$@" >"$OUT/$3.args"
head -n 25 >"$OUT/$3.input" # then this rpk ends
`, "produce.sh", "orders")
	if failed == nil {
		t.Error("a producer that ended must end the script with an error, so that the container starts anew")
	}
	args, err := os.ReadFile(filepath.Join(folder, "orders.args"))
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Split(string(args), "\n")
	input, err := os.ReadFile(filepath.Join(folder, "orders.input"))
	if err != nil {
		t.Fatal(err)
	}
	if words[3] != "--format" {
		t.Fatalf("rpk was called with %q", words)
	}
	reader, err := kgo.NewRecordReader(bytes.NewReader(input), words[4])
	if err != nil {
		t.Fatalf("format %q: %v", words[4], err)
	}
	n := 0
	for {
		r, err := reader.ReadRecord()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("record %d: %v", n, err)
		}
		if !bytes.HasPrefix(r.Key, []byte("orders-")) || !bytes.HasPrefix(r.Value, []byte(`{"n":`)) || !bytes.HasSuffix(r.Value, []byte("}")) {
			t.Errorf("record %d: key %q, value %q", n, r.Key, r.Value)
		}
		n++
	}
	if n != 25 {
		t.Errorf("%d records of 25 lines", n)
	}
}

// Topics that exist are no error: compose runs this again at every start.
func TestTopics(t *testing.T) {
	const rpk = `
echo "$@" >>"$OUT/calls"
case "$1 $2 $3" in
"topic create old") exit 1 ;;
"topic create broken") exit 1 ;;
"topic list ") printf 'NAME  PARTITIONS  REPLICAS\nold   4           1\nnew   4           1\nbroken-not  1  1\n' ;;
esac
`
	folder, failed := script(t, rpk, "topics.sh", "new", "old")
	if failed != nil {
		t.Errorf("a topic that exists must be no error: %v", failed)
	}
	calls, err := os.ReadFile(filepath.Join(folder, "calls"))
	if err != nil || !strings.Contains(string(calls), "topic create new --partitions 4\n") {
		t.Errorf("calls: %s, %v", calls, err)
	}
	if _, failed := script(t, rpk, "topics.sh", "new", "broken"); failed == nil {
		t.Error("a topic that could not be created must be an error")
	}
}
