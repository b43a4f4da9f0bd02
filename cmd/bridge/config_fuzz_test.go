package main

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-multierror"
	"github.com/knadh/koanf/parsers/toml/v2"
)

// FuzzConfig is F10 of the fuzz targets: whatever stands in the file and in the
// environment, nothing panics, a key that is not in the table is refused, and no
// message holds a secret.
func FuzzConfig(f *testing.F) {
	example, err := os.ReadFile(exampleFile)
	if err != nil {
		f.Fatal(err)
	}
	secret := func(key string) string { return key + ` = '` + planted + "'\n" }
	for _, file := range []string{
		"", string(example), working,
		"[kafka.sasl]\n" + secret("password"), "[s2]\n" + secret("access_token"), "[s2]\n" + secret("access_token_file"),
		"[kafka.sasl]\npassword = '" + planted, "[kafka.sasl]\npassword = " + planted, "[kafka.sasl]\npassword = ['" + planted + "']",
		"[kafka.sasl]\n" + secret("password") + secret("password"), "[kafka.sasl]\n" + secret("passwort"),
		"[kafka]\n" + secret("group") + secret("brokers") + secret("topics_regex") + secret("isolation"),
		"[kafka]\nbrokers = ['" + planted + "']\ntopics = ['" + planted + "']\ntopics_regex = ['" + planted + "(']",
		"[s2]\n" + secret("endpoint") + secret("basin") + secret("linger") + secret("connections"), "'" + planted + "' = 1",
		"[policy]\n" + secret("start") + secret("truncated") + secret("dead_letter_topic"), working + "[[topic]]\n" + secret("name") + secret("match") + secret("start"),
		working + "[[topic]]\nname = 'orders'\nstart_offsets = { 0 = 1, '" + planted + "' = 2 }\n[[topic]]\nmatch = '" + planted + "('", "topic = 1", "[topic.topic]",
		"[[topic]]\n[[topic.topic]]\n" + secret("name"), working + "[[topic]]\nmatch = 'o.*'\nstart = 1979-05-27T07:32:00Z",
		"[[kafka]]\n" + secret("x"), "kafka = 1979-05-27T07:32:00Z", "s2.tls = {}", "a.b.c.d.e = nan", "\xff",
	} {
		f.Add([]byte(file), "KAFKA__SASL__PASSWORD", planted)
		f.Add([]byte(file), "S2__CONNECTIONS", planted)
	}
	f.Add([]byte(working), "KAFKA_GROUP", "x")
	f.Add([]byte(working), "PORT_1_TCP", "x")

	known := map[string]bool{}
	for _, k := range new(Config).keys() {
		known[k.name] = true
	}
	for _, k := range new(TopicPolicy).keys("topic.") {
		known[k.name] = true
	}
	// stranger is a key of the file that is not in the table; "" if there is none.
	var stranger func(table map[string]any, prefix string) string
	stranger = func(table map[string]any, prefix string) string {
		for word, v := range table {
			below, isTable := v.(map[string]any)
			list, isList := v.([]any)
			switch {
			case isList && prefix+word == tableOfTopics:
				for _, item := range list {
					if s := stranger(item.(map[string]any), "topic."); s != "" {
						return s
					}
				}
			case isTable && !known[prefix+word]:
				if s := stranger(below, prefix+word+"."); s != "" {
					return s
				}
			case !known[prefix+word] || strings.Contains(word, "."):
				return prefix + word
			}
		}
		return ""
	}
	f.Fuzz(func(t *testing.T, file []byte, variable, content string) {
		if strings.ContainsAny(variable+content, "\x00") || strings.Contains(variable, "=") {
			return // no environment can hold that
		}
		if namesAFile.Match(file) || strings.HasSuffix(variable, "_FILE") {
			return // whatever file is named, it is not to be read from here
		}
		cfg, err := parse("fuzz.toml", file, []string{envPrefix + variable + "=" + content, "S2_ACCESS_TOKEN=" + planted})
		if err == nil {
			if name := keyOfVariable(envPrefix + variable); (!known[name] || strings.HasPrefix(name, "topic.")) && !isServiceLink(envPrefix+variable) {
				t.Errorf("variable %q is no key and was taken", variable)
			}
			table, err := toml.Parser().Unmarshal(file)
			if err != nil {
				t.Fatalf("took a file that is not TOML: %v", err)
			}
			if s := stranger(table, ""); s != "" {
				t.Errorf("key %q is in no table and was taken", s)
			}
			if len(cfg.Kafka.Brokers) == 0 || cfg.Kafka.Group == "" || cfg.S2.Basin == "" {
				t.Errorf("required keys are missing: %+v", cfg)
			}
			for _, topic := range append(cfg.Kafka.Topics, "") { // no policy that was taken panics
				cfg.policyOf(topic, 0)
			}
			return
		}
		if !strings.Contains(cfg.Stream.Name, planted) { // the one value that is repeated
			assertHidden(t, err.Error())
		}
		var merr *multierror.Error
		if !errors.As(err, &merr) || slices.ContainsFunc(merr.Errors, func(e error) bool { return e.Error() == "" }) {
			t.Errorf("a mistake without a sentence: %v", err)
		}
	})
}

var namesAFile = regexp.MustCompile(`(?i)_file`)
