package kafka

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"kafka-s2-bridge/tests/real/proc"
)

// Jars is a directory with the broker's jars. The first call on a machine has Maven fetch them (54 MB, a
// minute or less); a changed pom.xml fetches anew. Callers in other processes wait for the same fetch.
func Jars(ctx context.Context, logf func(string, ...any)) (string, error) {
	root, err := proc.Root()
	if err != nil {
		return "", err
	}
	pom := filepath.Join(root, "tests", "real", "pom.xml")
	text, err := os.ReadFile(pom)
	if err != nil {
		return "", fmt.Errorf("kafka jars: %w", err)
	}
	cache, err := proc.Cache()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	dir := filepath.Join(cache, "jars-"+hex.EncodeToString(sum[:4]))
	err = proc.Once(dir, func(tmp string) error {
		mvn, err := exec.LookPath("mvn")
		if err != nil {
			return fmt.Errorf("kafka jars: Maven is needed to fetch them: %w", err)
		}
		logf("fetching the jars of Apache Kafka with Maven, about a minute")
		return proc.Run(ctx, proc.Spec{Name: "mvn dependency:copy-dependencies", Path: mvn, Args: []string{"-q", "-B", "-f", pom,
			"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=" + tmp}})
	})
	return dir, err
}
