package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// remote is the running bridge that a command asks, through its http.listen.
type remote struct {
	file    string // of its configuration
	address string // host:port; "" = the configuration's
}

func (r *remote) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.address, "http", "", "the bridge's http.listen (default: the configuration's, else "+defaultListen+")")
	cmd.Flags().StringVarP(&r.file, "config", "c", "", "the bridge's configuration file: http.listen counts")
}

// flags are those that lead to the same bridge again, for a line to paste.
func (r *remote) flags() string {
	switch {
	case r.file != "":
		return " -c " + shellWord(r.file)
	case r.address != "":
		return " --http " + shellWord(r.address)
	}
	return ""
}

// at is where to ask. The rest of the configuration may be missing or wrong: the
// bridge that runs has read it, not the one who asks it.
func (r *remote) at(environ []string) (string, error) {
	if r.address != "" {
		if !isHostPort(r.address) {
			return "", &exitError{exitUsage, fmt.Errorf("--http must be host:port, such as %s", defaultListen)}
		}
		return r.address, nil
	}
	var file []byte
	if r.file != "" {
		var err error
		if file, err = readFile(r.file, maxConfigFile); err != nil {
			return "", &exitError{exitUsage, fmt.Errorf("configuration file %s: %w", r.file, err)}
		}
	}
	cfg := Defaults()
	l := newLoader(&cfg)
	l.readTOML(r.file, file)
	l.readEnviron(environ)
	host, port, err := net.SplitHostPort(cfg.HTTP.Listen)
	switch {
	case !l.complete:
		return "", &exitError{exitUsage, l.errorOrNil()}
	case cfg.HTTP.Listen == "":
		return "", &exitError{exitUsage, errors.New("http.listen is empty: this bridge cannot be asked")}
	case err != nil || l.refused["http.listen"] || !isListen(cfg.HTTP.Listen) || port == "0":
		return "", &exitError{exitUsage, errors.New("http.listen must be host:port, with a port other than 0: say with --http where the bridge is")}
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "127.0.0.1" // every interface
	}
	return net.JoinHostPort(host, port), nil
}

// answerLimit is far above what 10,000 partitions come to.
const answerLimit = 64 << 20

// askBridge sends one request to a bridge. An error means that nobody, or no bridge,
// answered.
func askBridge(ctx context.Context, timeout time.Duration, method, address, path string, body any) (status int, answer []byte, err error) {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		sent = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, sent)
	if err != nil {
		return 0, nil, &exitError{exitUsage, fmt.Errorf("--http must be host:port, such as %s", defaultListen)}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	client := &http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, &exitError{exitUnknown, fmt.Errorf("no answer from a bridge: %w", err)}
	}
	defer func() { _ = resp.Body.Close() }()
	if answer, err = io.ReadAll(io.LimitReader(resp.Body, answerLimit)); err != nil {
		return 0, nil, &exitError{exitUnknown, fmt.Errorf("answer of %s: %w", address, err)}
	}
	return resp.StatusCode, answer, nil
}

// notABridge is for an answer that no bridge gives.
func notABridge(address, path string, status int) error {
	return &exitError{exitUnknown, fmt.Errorf("%s answered %s with %d %s: is that a bridge of this version?", address, path, status, http.StatusText(status))}
}

const partitionsPath = "/api/v1/partitions"

// askPartitions lists the partitions of the bridge at address.
func askPartitions(ctx context.Context, address string) (list []partition, err error) {
	status, answer, err := askBridge(ctx, healthTimeout, http.MethodGet, address, partitionsPath, nil)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK || json.Unmarshal(answer, &list) != nil {
		return nil, notABridge(address, partitionsPath, status)
	}
	return list, nil
}

// target is what an operator names: a topic, or one partition of it.
type target struct {
	topic  string
	number int32 // -1: all
}

// parseTarget reads TOPIC or TOPIC/NUMBER. A topic's name has no slash.
func parseTarget(s string) (target, error) {
	topic, number, one := strings.Cut(s, "/")
	t := target{topic, -1}
	if one {
		n, ok := parseCount(number, 31)
		if !ok {
			return t, &exitError{exitUsage, errors.New("a partition is named as TOPIC/NUMBER, such as orders/3")}
		}
		t.number = int32(n)
	}
	if !isTopic(topic) {
		return t, &exitError{exitUsage, errors.New("name a topic, such as orders, or a partition, such as orders/3")}
	}
	return t, nil
}

func (t target) String() string {
	if t.number < 0 {
		return "topic " + t.topic
	}
	return fmt.Sprintf("%s/%d", t.topic, t.number)
}

// of are the partitions of list that are meant.
func (t target) of(list []partition) (chosen []partition) {
	for _, p := range list {
		if p.Topic == t.topic && (t.number < 0 || p.Partition == t.number) {
			chosen = append(chosen, p)
		}
	}
	return chosen
}

// notAssigned is for a target that is not at the bridge that was asked.
func (t target) notAssigned(address string) error {
	what := t.String()
	if t.number < 0 {
		what = "no partition of " + what
		return fmt.Errorf("%s is assigned to the bridge at %s: ask the other members of the group", what, address)
	}
	return fmt.Errorf("%s is not assigned to the bridge at %s: ask the other members of the group", what, address)
}
