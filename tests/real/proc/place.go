package proc

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// FreePort finds a TCP port of 127.0.0.1 that nobody listens on.
//
// It lies below the range that the kernel gives to outgoing connections (32768 and up on Linux). A server
// of ours is killed and comes back on its port while clients dial it all the time: on a port of that range
// a client may get connected to itself, and then the server finds its port in use.
func FreePort() (int, error) {
	for range 200 {
		port := 12000 + rand.IntN(20000)
		l, err := net.Listen("tcp4", net.JoinHostPort("0.0.0.0", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("free port: %w", err)
		}
		return port, nil
	}
	return 0, errors.New("free port: none of 200 tried between 12000 and 31999 could be had")
}

// Root is the directory of the project's go.mod, looked for from the working directory upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("project root: %w", err)
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(mod, []byte("module kafka-s2-bridge\n")) {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("project root: no go.mod of kafka-s2-bridge above the working directory; run inside the repository")
		}
		dir = up
	}
}

// Cache is tests/real/target, where fetched and built things are kept between runs.
func Cache() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "tests", "real", "target")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	return dir, nil
}

// Once makes path by calling build with a temporary name beside it, unless path is there already. Other
// processes that want the same path wait meanwhile. A build that fails leaves nothing.
func Once(path string, build func(tmp string) error) error {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("lock of %s: %w", filepath.Base(path), err)
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock of %s: %w", filepath.Base(path), err)
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	tmp := path + ".part"
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("remains of %s: %w", filepath.Base(path), err)
	}
	if err := build(tmp); err != nil {
		_ = os.RemoveAll(tmp)
		return err
	}
	return os.Rename(tmp, path)
}
