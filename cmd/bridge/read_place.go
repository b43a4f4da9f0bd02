package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink"
)

// place is where `bridge read` and `bridge gaps` look, as the flags say it: a
// stream by its own name, or by the partition that it holds.
type place struct {
	file      string // of the configuration; "" = the environment only
	endpoint  string // "" = the configuration's
	address   string // s2://basin/stream; "" = topic and partition
	topic     string
	partition int32 // -1 = not said
}

// addFlags adds the flags that say where.
func (p *place) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&p.file, "config", "c", "", "the bridge's configuration file: its tables s2 and stream count")
	f.StringVar(&p.endpoint, "endpoint", "", "S2 server of your own, such as http://localhost:8080 (default: the configuration's, else S2's cloud)")
	f.StringVar(&p.topic, "topic", "", "instead of s2://...: the Kafka topic; stream.name says its streams")
	f.Int32Var(&p.partition, "partition", -1, "with --topic: the partition")
}

// placeHelp ends the help of the commands that have these flags.
const placeHelp = `The stream is named as s2://BASIN/STREAM, as it is and without escapes, or by
--topic and --partition: then the bridge's configuration says basin and name. For
templates with {cluster} or {topic_id} only the first way works. Endpoint, access
token and TLS are those of the table s2 in -c FILE and of BRIDGE_S2__...
variables; without these, S2_ACCESS_TOKEN and --endpoint are enough. The token
needs the operations check-tail and read.`

// check says what is wrong with the flags, before anything is contacted.
func (p *place) check(args []string, given func(flag string) bool) error {
	if len(args) > 0 {
		p.address = args[0]
	}
	switch {
	case p.address == "" && p.topic == "":
		return errors.New("say which stream: s2://BASIN/STREAM, or --topic and --partition")
	case p.address != "" && (given("topic") || given("partition")):
		return errors.New("s2://BASIN/STREAM and --topic or --partition exclude each other")
	case p.address == "" && !isTopic(p.topic):
		return errors.New("--topic must be a topic's name")
	case given("partition") && p.partition < 0:
		return errors.New("--partition must be 0 or more")
	case given("endpoint") && !isEndpoint(p.endpoint):
		return errors.New("--endpoint must be a URL without path, such as http://localhost:8080")
	case p.address == "":
		return nil
	}
	basin, stream, ok := splitAddress(p.address)
	switch {
	case !ok:
		return errors.New("the stream must be named as s2://BASIN/STREAM")
	case !basinName.MatchString(basin):
		return errors.New("the basin in s2://BASIN/STREAM must have 8 to 48 of a-z, 0-9 and -, neither beginning nor ending with -")
	case stream == "" || len(stream) > maxStreamName:
		return fmt.Errorf("the stream in s2://BASIN/STREAM must have 1 to %d bytes", maxStreamName)
	}
	return nil
}

const maxStreamName = 512 // bytes; S2's limit

// splitAddress takes s2://basin/stream apart. A stream's name may have slashes,
// and everything else that URLs escape.
func splitAddress(address string) (basin, stream string, ok bool) {
	rest, ok := strings.CutPrefix(address, "s2://")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}

// load reads the configuration as far as it is about S2: what a bridge would
// need for Kafka, and its policies, may be missing or wrong.
func (p *place) load(environ []string) (Config, error) {
	var file []byte
	if p.file != "" {
		var err error
		if file, err = readFile(p.file, maxConfigFile); err != nil {
			return Config{}, fmt.Errorf("configuration file %s: %w", p.file, err)
		}
	}
	cfg := Defaults()
	l := newLoader(&cfg)
	l.readTOML(p.file, file)
	l.readEnviron(environ)
	if basin, _, ok := splitAddress(p.address); ok {
		cfg.S2.Basin = basin
	}
	if p.endpoint != "" {
		cfg.S2.Endpoint = p.endpoint
	}
	if l.complete {
		l.readOverrides()
		l.resolveSecrets()
		l.check()
	}
	if l.problems != nil {
		l.problems.Errors = slices.DeleteFunc(l.problems.Errors, func(err error) bool {
			var problem *Problem
			return errors.As(err, &problem) && slices.ContainsFunc([]string{"kafka.", "policy.", tableOfTopics},
				func(prefix string) bool { return strings.HasPrefix(problem.Key, prefix) })
		})
	}
	cfg.S2.Endpoint = strings.TrimRight(cfg.S2.Endpoint, "/")
	return cfg, l.errorOrNil()
}

// readTimeout is the least time that S2 is given for a page of 1 MiB. Whoever
// reads may have a slower way to S2 than the bridge.
const readTimeout = 10 * time.Second

// basin is an open way to the streams of one basin.
type basin struct {
	*sink.Client
	name     string
	endpoint string // for messages
	names    mapping.Template
}

// open makes the client. Its errors are about settings; nothing is contacted.
func (p *place) open() (*basin, redactor, error) {
	cfg, err := p.load(os.Environ())
	if err != nil {
		return nil, redactor{}, &exitError{exitUsage, err}
	}
	hide := cfg.redactor()
	sc := sinkConfig(cfg, nil, nil)
	sc.Connections = 1
	sc.RequestTimeout = max(sc.RequestTimeout, readTimeout)
	client, err := sink.New(sc)
	if err != nil {
		return nil, redactor{}, &exitError{exitUsage, hide.wrap(err)}
	}
	b := &basin{Client: client, name: cfg.S2.Basin, endpoint: cfg.S2.Endpoint}
	if b.endpoint == "" {
		b.endpoint = "S2's cloud"
	}
	if b.names, err = mapping.ParseTemplate(cfg.Stream.Name); err != nil {
		client.Close()
		return nil, redactor{}, &exitError{exitUsage, fmt.Errorf("stream.name: %w", err)}
	}
	return b, hide, nil
}

// stream is the name of the one stream that is meant.
func (p *place) stream(b *basin) (string, error) {
	if _, stream, ok := splitAddress(p.address); ok {
		return stream, nil
	}
	return p.streamOf(b, p.partition)
}

func (p *place) streamOf(b *basin, partition int32) (string, error) {
	name, err := b.names.Name(mapping.Identity{Topic: p.topic, Partition: partition})
	if err != nil {
		return "", &exitError{exitUsage, fmt.Errorf("name the stream itself, as s2://%s/STREAM: %w", b.name, err)}
	}
	return name, nil
}

// explain turns an error of S2 into a sentence with the code to exit with. That
// a stream is missing is an answer; what S2 did not answer is not known.
func (b *basin) explain(err error) error {
	var e *sink.Error
	switch {
	case err == nil || !errors.As(err, &e):
		return err
	case e.NotFound():
		return &exitError{exitFailed, fmt.Errorf("the stream %q does not exist in basin %s at %s", e.Stream, b.name, b.endpoint)}
	case e.Denied():
		err = fmt.Errorf("%w: reading needs an access token with the operations check-tail and read, in S2_ACCESS_TOKEN or the configuration", err)
	case e.Status == 0:
		err = fmt.Errorf("S2 at %s cannot be reached: check --endpoint or s2.endpoint: %w", b.endpoint, err)
	}
	return &exitError{exitUnknown, err}
}
